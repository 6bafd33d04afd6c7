package ingest

import (
	"fmt"
	"time"

	"photofinish/rules"
)

// DefaultClockErr is how wrong a server's clock is taken to be where nothing is
// known of it, and DefaultNodeClockErr how wrong a node's own is: instants of two
// nodes are compared, and the exchange with a server says nothing of that.
const (
	DefaultClockErr     = time.Second
	DefaultNodeClockErr = 50 * time.Millisecond
)

// MaxClockOffset is the largest difference of clocks that is taken for one.
const MaxClockOffset = 24 * time.Hour

// DriftPPM is how fast two clocks may part, in parts per million: what two crystals of
// 100 each do that nobody sets. A clock that is being set right moves faster for a
// while; then a new exchange contradicts the old one, which is the sign to forget it.
const DriftPPM = 200

// Clock is an estimate of a server's clock against the node's.
type Clock struct {
	OffsetNs int64 // add this to the server's time to get the node's
	ErrNs    int64 // OffsetNs is right give or take this; never negative
	// MeasuredNs is when, by the node's clock, that was so; before and after, the clocks
	// have parted by up to DriftPPM. 0: it is so at all times.
	MeasuredNs int64
}

// ErrAt returns how wrong OffsetNs may be at an instant of the node's clock, at most
// MaxClockOffset.
func (c Clock) ErrAt(instant rules.Instant) int64 {
	if c.MeasuredNs == 0 {
		return c.ErrNs
	}
	apart := int64(instant) - c.MeasuredNs // both are within two centuries: no overflow
	if apart < 0 {
		apart = -apart
	}
	return min(c.ErrNs+apart/(1e6/DriftPPM)+1, int64(MaxClockOffset))
}

// EstimateClock estimates a server's clock from one exchange, in Unix nanoseconds:
// the server sent at t1 and received the answer at t4 by its own clock, the node
// received at t2 and answered at t3 by its own.
//
// The offset is the middle of what the exchange allows and the error half the
// round trip: however the delay was divided between the two ways, the true offset
// lies within. So a slow network makes the estimate vague, never wrong. An exchange
// that contradicts itself, or an offset beyond MaxClockOffset, is an error.
func EstimateClock(t1, t2, t3, t4 int64) (Clock, error) {
	for _, t := range []int64{t1, t2, t3, t4} {
		// Within these bounds no difference or sum below can overflow.
		if i := rules.Instant(t); i < rules.MinInstant || i >= rules.MaxInstant {
			return Clock{}, fmt.Errorf("clock exchange: %d is not Unix nanoseconds of the years 2000 to 2199", t)
		}
	}
	there, back := t2-t1, t3-t4
	roundTrip := there - back
	if t4 < t1 || t3 < t2 || roundTrip < 0 {
		return Clock{}, fmt.Errorf("clock exchange: %d,%d,%d,%d contradicts itself", t1, t2, t3, t4)
	}
	c := Clock{OffsetNs: back + roundTrip/2, ErrNs: roundTrip - roundTrip/2}
	if !c.plausible() {
		return Clock{}, fmt.Errorf("clock exchange: an offset of %s is beyond %s", time.Duration(c.OffsetNs), MaxClockOffset)
	}
	return c, nil
}

func (c Clock) plausible() bool {
	return -int64(MaxClockOffset) <= c.OffsetNs && c.OffsetNs <= int64(MaxClockOffset) &&
		0 <= c.ErrNs && c.ErrNs <= int64(MaxClockOffset) &&
		(c.MeasuredNs == 0 || rules.MinInstant <= rules.Instant(c.MeasuredNs) && rules.Instant(c.MeasuredNs) < rules.MaxInstant)
}

// why tells, for a time that is refused, by which clock: what its stamp comes to by the
// node's, and how the server's is taken to be.
func (c Clock) why(measured bool, instant rules.Instant, now time.Time) string {
	text := fmt.Sprintf("by the node's clock, which is at %s, that is %s: the server's clock ", rules.Instant(now.UnixNano()), instant)
	if !measured {
		return text + "is taken for right, since it has sent no clock exchange"
	}
	switch offset := time.Duration(c.OffsetNs); {
	case offset > 0:
		text += fmt.Sprintf("is %s behind", offset)
	case offset < 0:
		text += fmt.Sprintf("is %s ahead", -offset)
	default:
		text += "is right"
	}
	text += fmt.Sprintf(" ± %s", time.Duration(c.ErrNs))
	if c.MeasuredNs == 0 {
		return text
	}
	return text + fmt.Sprintf(" by the exchange of %s", rules.Instant(c.MeasuredNs))
}

// correct returns when an event happened by the node's clock.
func (c Clock) correct(at rules.Instant) rules.Instant { return at.Add(time.Duration(c.OffsetNs)) }
