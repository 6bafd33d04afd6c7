package ingest

import (
	"strings"
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

// Whose time is refused is told by which clock: a server that is right by its own may be
// far off by the node's estimate of it.
func TestRefusedTimeNamesTheClock(t *testing.T) {
	n, _ := openNode(t, nil, Config{})
	measured := noon.Add(-time.Minute).UnixNano()
	for _, test := range []struct {
		name  string
		clock *Clock
		at    float64 // seconds after noon
		want  string
	}{
		{"no exchange", nil, 400, "that is 2026-11-21T12:06:40Z: the server's clock is taken for right, since it has sent no clock exchange"},
		{"behind", &Clock{OffsetNs: 2 * 3600e9, ErrNs: 20e6, MeasuredNs: measured}, 0, "that is 2026-11-21T14:00:00Z: the server's clock is 2h0m0s behind ± 20ms by the exchange of 2026-11-21T11:59:00Z"},
		{"ahead", &Clock{OffsetNs: -3600e9, ErrNs: 1}, 2 * 3600, "that is 2026-11-21T13:00:00Z: the server's clock is 1h0m0s ahead ± 1ns"},
		{"right", &Clock{ErrNs: 5e6}, 301, "that is 2026-11-21T12:05:01Z: the server's clock is right ± 5ms"},
	} {
		e := event("a", test.at)
		r, err := n.Accept(t.Context(), Batch{Server: "eu-1", Region: "eu", Events: []rules.Event{e}, Clock: test.clock})
		if err != nil || len(r.Rejected) != 1 {
			t.Fatalf("%s: %+v, %v", test.name, r, err)
		}
		want := "at \"" + e.At.String() + "\" is more than 5m0s in the future; by the node's clock, which is at 2026-11-21T12:00:00Z, " + test.want
		if r.Rejected[0].Error != want {
			t.Errorf("%s:\n%s, not\n%s", test.name, r.Rejected[0].Error, want)
		}
	}
	e := event("b", 0)
	e.Player = ""
	if r, err := n.Accept(t.Context(), Batch{Server: "eu-1", Region: "eu", Events: []rules.Event{e}}); err != nil || len(r.Rejected) != 1 || strings.Contains(r.Rejected[0].Error, "clock") {
		t.Errorf("of another refusal: %+v, %v", r, err)
	}
}
