package rules

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Instant is a point in time: Unix nanoseconds, UTC. Events carry instants from
// MinInstant up to MaxInstant, so the difference of two never overflows.
type Instant int64

// The bounds of an event's instant: 2000-01-01 and 2200-01-01, UTC.
const (
	MinInstant Instant = 946684800 * 1e9
	MaxInstant Instant = 7258118400 * 1e9
)

// Never is later than any instant of an event.
const Never Instant = math.MaxInt64

// What is wrong with a text that is no instant.
var (
	ErrInstantForm  = errors.New("is not an RFC 3339 time such as 2026-11-21T07:00:00.123456789Z")
	ErrInstantYears = errors.New("is outside the years 2000 to 2199")
)

// maxDecimals is how many decimals of a second an Instant holds.
const maxDecimals = 9

// ParseInstant reads an RFC 3339 time, strictly: two digits for the hour, a point
// before at most nine decimals. What follows the text in an error is one of
// ErrInstantForm and ErrInstantYears: an instant outside MinInstant and MaxInstant is
// refused, because its nanoseconds would wrap silently further on.
func ParseInstant(text string) (Instant, error) {
	// time.Parse also takes one digit for the hour, a comma, and any number of decimals.
	const hourEnds = len("2006-01-02T15")
	strict := len(text) > hourEnds && text[hourEnds] == ':' && !strings.Contains(text, ",")
	if _, after, found := strings.Cut(text, "."); found {
		strict = strict && len(after)-len(strings.TrimLeft(after, "0123456789")) <= maxDecimals
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !strict {
		return 0, fmt.Errorf("%q %w", text, ErrInstantForm)
	}
	i, err := InstantOf(t)
	if err != nil {
		return 0, fmt.Errorf("%q %w", text, ErrInstantYears)
	}
	return i, nil
}

// InstantOf converts a time, refusing years that an event cannot have.
func InstantOf(t time.Time) (Instant, error) {
	if s := t.Unix(); s < int64(MinInstant/1e9) || s >= int64(MaxInstant/1e9) {
		return 0, fmt.Errorf("%s %w", t.UTC().Format(time.RFC3339), ErrInstantYears)
	}
	return Instant(t.UnixNano()), nil
}

// Add returns the instant d later, stopping at the ends of int64.
func (i Instant) Add(d time.Duration) Instant {
	s := i + Instant(d)
	switch {
	case d > 0 && s < i:
		return math.MaxInt64
	case d < 0 && s > i:
		return math.MinInt64
	}
	return s
}

// Time converts to a time.Time in UTC.
func (i Instant) Time() time.Time { return time.Unix(0, int64(i)).UTC() }

// String formats as RFC 3339 in UTC with up to nine decimals, trailing zeros dropped.
func (i Instant) String() string { return i.Time().Format(time.RFC3339Nano) }

// MarshalJSON writes the instant as an RFC 3339 string.
func (i Instant) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, i.String()), nil }

// UnmarshalJSON reads what MarshalJSON wrote. It does not check the bounds of an
// event, since window bounds and cut bounds may lie beyond them.
func (i *Instant) UnmarshalJSON(text []byte) error {
	s, err := strconv.Unquote(string(text))
	if err != nil {
		return fmt.Errorf("instant %s is not a string", text)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("instant %q: %w", s, err)
	}
	*i = Instant(t.UnixNano())
	return nil
}
