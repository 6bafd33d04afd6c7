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

// clock writes the time of day of an instant in UTC and how far it may be off:
// "17:32:14 ± 0.5 s". Digits that the uncertainty makes meaningless are dropped.
func clock(at rules.Instant, uncertaintyNs int64) string {
	text := at.Time().Format("15:04:05") + fraction(at, uncertaintyNs)
	if uncertaintyNs > 0 {
		text += " ± " + atMost(uncertaintyNs)
	}
	return text
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

// moment writes the day as well: "2014-02-12 17:32:14 ± 0.5 s".
func moment(at rules.Instant, uncertaintyNs int64) string {
	return at.Time().Format(time.DateOnly) + " " + clock(at, uncertaintyNs)
}

// claimMoment writes when something was reached: by the corrected clocks, not as the
// stamp of a server had it whose clock was wrong.
func claimMoment(c *rules.Claim) string { return moment(c.Point, c.OffNs()) }

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
