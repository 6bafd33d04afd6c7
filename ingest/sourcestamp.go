package ingest

import (
	"bytes"
	"fmt"
	"time"

	"photofinish/rules"
)

// wholeSecond and wholeMilli are what a stamp leaves open that was cut to seconds or
// milliseconds: 34 names [34, 35), of which the last nanosecond is 34.999999999.
const (
	wholeSecond = int64(time.Second - 1)
	wholeMilli  = int64(time.Millisecond - 1)
)

// sourceLine is what a line of a Source engine's log says. The slices point into
// the line.
type sourceLine struct {
	stamped bool
	at      sourceStamp
	rest    []byte // behind the stamp
}

// sourceStamp is a time as the line has it, in a zone that it does not name.
type sourceStamp struct {
	year, month, day, hour, minute, second int
	milli                                  int // -1: whole seconds
}

// readSourceLine splits the stamp off a line without its end of line. Known are
//
//	L MM/DD/YYYY - HH:MM:SS: …
//	L MM/DD/YYYY - HH:MM:SS.mmm - …     (also with ": "; both with or without "L ")
func readSourceLine(line []byte) sourceLine {
	b := bytes.TrimPrefix(line, []byte("L "))
	l := sourceLine{at: sourceStamp{milli: -1}}
	const whole = len("MM/DD/YYYY - HH:MM:SS")
	if len(b) < whole || b[2] != '/' || b[5] != '/' || string(b[10:13]) != " - " || b[15] != ':' || b[18] != ':' {
		return sourceLine{}
	}
	ok := true
	number := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			ok = ok && '0' <= c && c <= '9'
			n = 10*n + int(c-'0')
		}
		return n
	}
	l.at.month, l.at.day, l.at.year = number(0, 2), number(3, 5), number(6, 10)
	l.at.hour, l.at.minute, l.at.second = number(13, 15), number(16, 18), number(19, 21)
	rest := b[whole:]
	if len(rest) >= 4 && rest[0] == '.' {
		l.at.milli = number(whole+1, whole+4)
		rest = rest[4:]
	}
	switch {
	case !ok:
		return sourceLine{}
	case bytes.HasPrefix(rest, []byte(": ")) && len(b) != len(line):
		l.rest = rest[2:]
	case bytes.HasPrefix(rest, []byte(" - ")) && l.at.milli >= 0:
		l.rest = rest[3:]
	case bytes.HasPrefix(rest, []byte(": ")) && l.at.milli >= 0:
		l.rest = rest[2:]
	default:
		return sourceLine{}
	}
	l.stamped = true
	return l
}

// instant returns when the stamp was at the earliest, and how much later it may have
// been: what was cut off, and where a local time occurs twice, as when clocks are set
// back in autumn, the time between the two. A leap second is told apart by no clock that
// counts as Unix does, which repeats the second before it or has the one after it: the
// stamp names both. What occurs twice begins where the first of it does, whatever it says:
// 02:50 of the first pass is before 02:10 of the second, so stamps are no order there, and
// being alike they leave it to the lines' numbers. What is no time at all is refused, such as February 30th or what
// clocks leave out in spring.
func (s sourceStamp) instant(zone *time.Location) (rules.Instant, int64, error) {
	milli, openNs := s.milli, wholeMilli
	if milli < 0 {
		milli, openNs = 0, wholeSecond
	}
	second, leap := s.second, time.Duration(0)
	if second == leapSecond {
		second, leap = second-1, time.Second
	}
	t := time.Date(s.year, time.Month(s.month), s.day, s.hour, s.minute, second, milli*int(time.Millisecond), zone)
	if t.Day() != s.day || int(t.Month()) != s.month || t.Hour() != s.hour || t.Minute() != s.minute || t.Second() != second || leap > 0 && !endsMonth(t) {
		value := fmt.Sprintf("%02d/%02d/%04d - %02d:%02d:%02d", s.month, s.day, s.year, s.hour, s.minute, s.second)
		return 0, 0, &FieldError{"at", value, "is not a time in the zone " + zone.String()}
	}
	first, last := readings(t)
	if again := last.Sub(first); again > 0 {
		_, setBack := first.ZoneBounds()
		first = setBack.Add(-again)
	}
	at, err := rules.InstantOf(first)
	if err == nil {
		_, err = rules.InstantOf(last.Add(leap))
	}
	if err != nil {
		return 0, 0, &FieldError{"at", t.Format(time.RFC3339), "is outside the years 2000 to 2199"}
	}
	return at, openNs + int64(last.Sub(first)+leap), nil
}

// occursTwice is less than what a stamp leaves open that occurs twice, and more than any
// other does.
const occursTwice = int64(10 * time.Second)

// leapSecond is the second of a leap second.
const leapSecond = 60

// endsMonth reports whether t is in the last second of a month in UTC, which alone a leap
// second may follow.
func endsMonth(t time.Time) bool {
	next := t.UTC().Truncate(time.Second).Add(time.Second)
	return next.Day() == 1 && next.Hour() == 0 && next.Minute() == 0 && next.Second() == 0
}

// readings returns the first and the last instant at which the clocks of t's zone
// show what they show at t.
func readings(t time.Time) (first, last time.Time) {
	first, last = t, t
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	for _, near := range []time.Time{start.Add(-time.Second), end} {
		if start.IsZero() && near.Before(t) || end.IsZero() && !near.Before(t) {
			continue // the zone has known no other time on that side
		}
		_, other := near.Zone()
		u := t.Add(time.Duration(offset-other) * time.Second)
		if _, shown := u.Zone(); shown != other || other == offset {
			continue
		}
		if u.Before(first) {
			first = u
		}
		if u.After(last) {
			last = u
		}
	}
	return first, last
}
