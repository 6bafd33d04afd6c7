package announce

import (
	"math/bits"
	"strconv"
	"time"

	"photofinish/rules"
)

// axis is the stretch of time that a picture shows, from lo up to hi. It is drawn
// from margin to plotRight, in whole tenths of a pixel, so that a picture has the
// same bytes on every machine.
type axis struct {
	lo, hi rules.Instant
}

// closeUp bounds what the axis holds, in widths of the first two finishes: a later finish
// farther away than that is drawn at the edge, so that it does not squeeze these together.
const closeUp = 6

// newAxis returns the axis for the claims. It holds the first two with their whole
// intervals, and of the others those that are not far off.
func newAxis(claims []rules.Claim) axis {
	lo, hi := bounded(claims[0].Earliest), bounded(claims[0].Latest)
	if len(claims) > 1 {
		lo, hi = min(lo, bounded(claims[1].Earliest)), max(hi, bounded(claims[1].Latest))
	}
	near := hi - lo
	if near < generation {
		near = min(max(near, 1)*closeUp, generation)
	}
	a := axis{lo, hi}
	for _, c := range claims {
		if c.Point <= lo+near {
			a.lo = min(a.lo, max(bounded(c.Earliest), lo-near))
			a.hi = max(a.hi, min(bounded(c.Latest), lo+near))
		}
	}
	space := max((a.hi-a.lo)/20, 1)
	a.lo -= space
	a.hi += space
	return a
}

// generation, thirty years, is longer than any picture that is meant to be looked at, and short
// enough that nothing below overflows.
const generation = rules.Instant(1e9 * 3600 * 24 * 365 * 30)

// bounded returns the instant, or the nearest one that an event can have.
func bounded(i rules.Instant) rules.Instant {
	return min(max(i, rules.MinInstant), rules.MaxInstant)
}

// x returns where an instant is drawn; outside the axis, at its edge.
func (a axis) x(i rules.Instant) int64 {
	i = min(max(i, a.lo), a.hi)
	hi, lo := bits.Mul64(uint64(i-a.lo), plotRight-margin)
	quotient, _ := bits.Div64(hi, lo, uint64(a.hi-a.lo))
	return margin + int64(quotient)
}

// holds reports whether an instant lies on the axis.
func (a axis) holds(i rules.Instant) bool { return a.lo <= i && i <= a.hi }

// tick is a mark on the axis, so long after the first.
type tick struct {
	at    rules.Instant
	label string
}

// maxTicks is how many labels fit side by side.
const maxTicks = 6

// ticks returns marks at round instants and the labels of their distance from the
// first.
func (a axis) ticks() []tick {
	step, unit, name := a.step()
	first := a.lo - a.lo%rules.Instant(step)
	if first < a.lo {
		first += rules.Instant(step)
	}
	var ticks []tick
	for at := first; at <= a.hi; at += rules.Instant(step) {
		label := "0"
		if at > first {
			label = "+" + exactly(int64(at-first), unit) + " " + name
		}
		ticks = append(ticks, tick{at, label})
	}
	return ticks
}

// step returns the shortest round step of which at most maxTicks marks fit, and the
// unit of its labels.
func (a axis) step() (step, unit int64, name string) {
	length := int64(a.hi - a.lo)
	fits := func(d int64) bool { return length/d < maxTicks }
	for _, u := range []struct {
		unit  time.Duration
		name  string
		ns    time.Duration // of 1 in steps
		steps []int64
	}{
		{time.Nanosecond, "ns", time.Nanosecond, []int64{1, 2, 5, 10, 20, 50, 100, 200, 500}},
		{time.Microsecond, "µs", time.Microsecond, []int64{1, 2, 5, 10, 20, 50, 100, 200, 500}},
		{time.Millisecond, "ms", time.Millisecond, []int64{1, 2, 5, 10, 20, 50}},
		{time.Second, "s", 100 * time.Millisecond, []int64{1, 2, 5}},
		{time.Second, "s", time.Second, []int64{1, 2, 5, 10, 15, 30}},
		{time.Minute, "min", time.Minute, []int64{1, 2, 5, 10, 15, 30}},
		{time.Hour, "h", time.Hour, []int64{1, 2, 3, 6, 12}},
	} {
		for _, n := range u.steps {
			if step := n * int64(u.ns); fits(step) {
				return step, int64(u.unit), u.name
			}
		}
	}
	day := int64(24 * time.Hour)
	for n := int64(1); ; n *= 2 {
		if fits(n * day) {
			return n * day, day, "d"
		}
	}
}

// exactly writes ns in the unit with all the decimals it has.
func exactly(ns, unit int64) string {
	if ns%unit == 0 {
		return strconv.FormatInt(ns/unit, 10)
	}
	return strconv.FormatInt(ns/unit, 10) + "." + strconv.FormatInt(ns%unit*10/unit, 10)
}
