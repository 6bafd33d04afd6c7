package announce

import (
	"math"
	"strconv"
	"strings"
	"time"

	"photofinish/rules"
)

// duration writes nanoseconds for people, with about three digits: "12 ms",
// "0.5 s", "3 h 12 min".
func duration(ns int64) string {
	if ns < 0 {
		if ns == math.MinInt64 {
			ns++
		}
		return "−" + duration(-ns)
	}
	d := time.Duration(ns)
	switch {
	case d < time.Microsecond:
		return strconv.FormatInt(ns, 10) + " ns"
	case d < time.Millisecond:
		return decimal(ns, int64(time.Microsecond)) + " µs"
	case d < 100*time.Millisecond:
		return decimal(ns, int64(time.Millisecond)) + " ms"
	case d < time.Minute:
		return decimal(ns, int64(time.Second)) + " s"
	case d < time.Hour:
		return pair(ns, time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return pair(ns, time.Hour, "h", time.Minute, "min")
	}
	return pair(ns, 24*time.Hour, "d", time.Hour, "h")
}

// atMost writes a duration so that it never seems shorter than it is.
func atMost(ns int64) string {
	step := int64(1)
	for ns/step >= 1000 {
		step *= 10
	}
	switch d := time.Duration(ns); {
	case d >= 48*time.Hour:
		step = int64(time.Hour)
	case d >= time.Hour:
		step = int64(time.Minute)
	case d >= time.Minute:
		step = int64(time.Second)
	}
	if rest := ns % step; rest > 0 && ns <= math.MaxInt64-step {
		ns += step - rest
	}
	return duration(ns)
}

// decimal writes ns/unit with three digits, never rounded up.
func decimal(ns, unit int64) string {
	whole, rest := ns/unit, ns%unit
	places := max(0, 3-len(strconv.FormatInt(whole, 10)))
	if whole == 0 {
		places = 3
	}
	digits := strconv.FormatInt(unit+rest, 10)[1:] // with leading zeros
	digits = strings.TrimRight(digits[:min(places, len(digits))], "0")
	if digits == "" {
		return strconv.FormatInt(whole, 10)
	}
	return strconv.FormatInt(whole, 10) + "." + digits
}

func pair(ns int64, big time.Duration, bigName string, small time.Duration, smallName string) string {
	text := strconv.FormatInt(ns/int64(big), 10) + " " + bigName
	if rest := ns % int64(big) / int64(small); rest > 0 {
		text += " " + strconv.FormatInt(rest, 10) + " " + smallName
	}
	return text
}

// WithinSecond reports whether all that is known of an instant is its second: the source's
// stamp has whole seconds, and names all of the second that it begins.
func WithinSecond(point, earliest, latest rules.Instant) bool {
	second := rules.Instant(time.Second)
	return earliest == point && latest == point+second-1 && point%second == 0
}

// clock writes the time of day of a claim in UTC and how far it may be off: "17:32:14 ± 0.5 s",
// "within the second of 17:32:14", or, where it may be off further to one side,
// "17:32:14 −50 ms / +1.05 s". Digits that the uncertainty makes meaningless are dropped.
func clock(c *rules.Claim) string { return within(c, "") }

// moment writes the day as well: "2014-02-12 17:32:14".
func moment(at rules.Instant) string {
	return at.Time().Format(time.DateTime) + fraction(at, 0)
}

// claimMoment writes when something was reached, as clock does with the day: by the
// corrected clocks, not as the stamp of a server had it whose clock was wrong.
func claimMoment(c *rules.Claim) string { return within(c, c.Point.Time().Format(time.DateOnly)+" ") }

func within(c *rules.Claim, day string) string {
	text := day + c.Point.Time().Format("15:04:05") + fraction(c.Point, c.OffNs())
	before, after := int64(max(c.Point-c.Earliest, 0)), int64(max(c.Latest-c.Point, 0))
	switch {
	case WithinSecond(c.Point, c.Earliest, c.Latest):
		return "within the second of " + text
	case before == 0 && after == 0:
		return text
	case max(before-after, after-before) <= 1:
		return text + " ± " + atMost(max(before, after))
	case before == 0:
		return text + " + at most " + atMost(after)
	case after == 0:
		return text + " − at most " + atMost(before)
	}
	return text + " −" + atMost(before) + " / +" + atMost(after)
}

// fraction writes the part of a second that matters next to the uncertainty.
func fraction(at rules.Instant, uncertaintyNs int64) string {
	places := 9
	for u := uncertaintyNs / 100; u > 0 && places > 0; u /= 10 {
		places--
	}
	ns := int64(at) % int64(time.Second)
	if ns < 0 {
		ns += int64(time.Second)
	}
	digits := strconv.FormatInt(int64(time.Second)+ns, 10)[1:]
	digits = strings.TrimRight(digits[:places], "0")
	if digits == "" {
		return ""
	}
	return "." + digits
}

// windowText writes a window as briefly as it can be told.
func windowText(w rules.Window) string {
	if w.Forever() {
		return "for ever"
	}
	opens, closes := w.Opens.Time(), w.Closes.Time()
	switch {
	case !isMidnight(opens) || !isMidnight(closes):
		from, to := opens.Format("2006-01-02 15:04")+seconds(opens), closes.Format("2006-01-02 15:04")+seconds(closes)
		if opens.Format(time.DateOnly) == closes.Add(-1).Format(time.DateOnly) {
			to = closes.Format("15:04") + seconds(closes)
			if isMidnight(closes) {
				to = "24:00"
			}
		}
		return from + " to " + to + " UTC"
	case opens.AddDate(0, 0, 1).Equal(closes):
		return opens.Format(time.DateOnly)
	case opens.Day() == 1 && opens.AddDate(0, 1, 0).Equal(closes):
		return opens.Format("January 2006")
	}
	return opens.Format(time.DateOnly) + " to " + closes.AddDate(0, 0, -1).Format(time.DateOnly)
}

func isMidnight(t time.Time) bool { return t.Equal(t.Truncate(24 * time.Hour)) }

func seconds(t time.Time) string {
	if t.Second() == 0 && t.Nanosecond() == 0 {
		return ""
	}
	return t.Format(":05.999999999")
}
