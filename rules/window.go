package rules

import (
	"encoding/json"
	"time"

	"github.com/robfig/cron/v3"
)

// Window is a span of time that a rule counts in: from Opens up to but without
// Closes. The zero Window is for ever.
type Window struct {
	Opens  Instant
	Closes Instant
}

// Forever reports whether the window never closes.
func (w Window) Forever() bool { return w == Window{} }

// Contains reports whether an event at i counts in the window.
func (w Window) Contains(i Instant) bool { return w.Forever() || w.Opens <= i && i < w.Closes }

type windowJSON struct {
	Opens  Instant `json:"opens"`
	Closes Instant `json:"closes"`
}

// MarshalJSON writes null for a window that is for ever.
func (w Window) MarshalJSON() ([]byte, error) {
	if w.Forever() {
		return []byte("null"), nil
	}
	return json.Marshal(windowJSON(w))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (w *Window) UnmarshalJSON(text []byte) error {
	var j windowJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*w = Window(j)
	return nil
}

// WindowSpec says how a rule divides time. The zero value is for ever; otherwise
// exactly one of Every, Schedule and Fixed is set.
type WindowSpec struct {
	Every    Every
	Cron     string        // as written
	Schedule cron.Schedule // each window lasts from one of its instants to the next, UTC
	Fixed    Window
}

// Every is a calendar unit, UTC. Weeks begin on Monday.
type Every string

// The calendar units a window may repeat by.
const (
	Hour  Every = "hour"
	Day   Every = "day"
	Week  Every = "week"
	Month Every = "month"
)

// At returns the window that holds i. It reports false where i lies outside a
// fixed window, or before the first instant of a schedule.
func (s WindowSpec) At(i Instant) (Window, bool) {
	switch {
	case s.Every != "":
		opens := s.Every.floor(i.Time())
		return Window{Instant(opens.UnixNano()), Instant(s.Every.next(opens).UnixNano())}, true
	case s.Schedule != nil:
		return s.scheduled(i)
	case !s.Fixed.Forever():
		return s.Fixed, s.Fixed.Contains(i)
	}
	return Window{}, true
}

// scheduled looks back over ever longer spans for the last firing not after i: a
// schedule can only say what comes next.
func (s WindowSpec) scheduled(i Instant) (Window, bool) {
	t := i.Time()
	for _, back := range []time.Duration{2 * time.Minute, 2 * time.Hour, 49 * time.Hour, 32 * 24 * time.Hour, 367 * 24 * time.Hour, 9 * 366 * 24 * time.Hour} {
		opens := s.Schedule.Next(t.Add(-back))
		if opens.IsZero() || opens.After(t) {
			continue
		}
		for {
			closes := s.Schedule.Next(opens)
			if closes.IsZero() {
				return Window{}, false
			}
			if closes.After(t) {
				return Window{Instant(opens.UnixNano()), Instant(closes.UnixNano())}, true
			}
			opens = closes
		}
	}
	return Window{}, false
}

func (e Every) floor(t time.Time) time.Time {
	y, m, d := t.Date()
	switch e {
	case Hour:
		return t.Truncate(time.Hour)
	case Week:
		return time.Date(y, m, d-(int(t.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	case Month:
		return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	default:
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
}

func (e Every) next(opens time.Time) time.Time {
	switch e {
	case Hour:
		return opens.Add(time.Hour)
	case Week:
		return opens.AddDate(0, 0, 7)
	case Month:
		return opens.AddDate(0, 1, 0)
	default:
		return opens.AddDate(0, 0, 1)
	}
}
