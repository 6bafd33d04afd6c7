package ingest

import (
	"testing"
	"time"

	"photofinish/rules"
)

// An estimate is exact at the moment it was made and 0.2 ms vaguer for each second
// before and after, so an event that waited for an hour is not taken for exact.
func TestClockDrifts(t *testing.T) {
	measured := rules.Instant(noon.UnixNano())
	c := Clock{ErrNs: 1000, MeasuredNs: int64(measured)}
	for _, w := range []struct {
		after time.Duration
		errNs int64
	}{
		{0, 1001},
		{time.Second, 201_001},
		{-time.Second, 201_001},
		{-time.Hour, 720_001_001},
		{time.Duration(rules.MinInstant - measured), int64(MaxClockOffset)},
	} {
		if got := c.ErrAt(measured.Add(w.after)); got != w.errNs {
			t.Errorf("%s after: the error is %d, want %d", w.after, got, w.errNs)
		}
	}
	c.MeasuredNs = 0
	if got := c.ErrAt(measured.Add(time.Hour)); got != 1000 {
		t.Errorf("without its moment the error is %d", got)
	}
}

// What lies in the log of an old event holds the drift since it happened.
func TestAcceptedIntervalHoldsTheDrift(t *testing.T) {
	n, clock := openNode(t, nil, Config{NodeClockErr: time.Nanosecond, LookupAfter: 24 * time.Hour})
	old := event("a", -3600)
	b := Batch{Server: "eu-1", Region: "eu", Events: []rules.Event{old}, Clock: &Clock{MeasuredNs: clock.t.UnixNano()}}
	if r, err := n.Accept(t.Context(), b); err != nil || r.Accepted != 1 {
		t.Fatalf("accepted %+v: %v", r, err)
	}
	said := n.marks.Servers["eu-1"]
	if ago := noon.UnixNano() - said.ToldNs; ago != (time.Hour+720*time.Millisecond).Nanoseconds()+2 {
		t.Errorf("the server is believed up to %s ago", time.Duration(ago))
	}
	b.Clock = &Clock{MeasuredNs: 1}
	if _, err := n.Accept(t.Context(), b); err == nil {
		t.Error("an estimate of 1970 is taken")
	}
}
