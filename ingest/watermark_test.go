package ingest

import (
	"testing"
	"time"

	"photofinish/rules"
)

// One line dated far ahead pins nothing: an import is complete up to when it was made at
// most, and what a server sends after such a line still comes after what it reported.
func TestLineDatedAhead(t *testing.T) {
	w, p := newWatermarks(noon), newPromises()
	w.imported("eu", rules.Instant(noon.AddDate(100, 0, 0).UnixNano()), noon)
	later := noon.Add(time.Hour)
	if m, _ := p.at(&w, later, time.Minute); clockText(rules.Instant(m.ns)) != "12:00:00" || clockText(m.regions[0].Watermark) != "12:00:00" {
		t.Errorf("an import: %+v", m)
	}
	said := report{}
	known := false
	take := func(at, now time.Duration, estimate ...time.Duration) record {
		var r record
		r.Server, r.Region, r.At = "s", "eu", rules.Instant(noon.Add(at).UnixNano())
		r.Instant = r.At
		for _, e := range estimate {
			r.Instant += rules.Instant(e)
		}
		r.Exactly(int64(time.Second))
		if known {
			said.order(&r)
		}
		said, known = said.join(reportOf(&r, noon.Add(now)), known), true
		return r
	}
	take(-2*time.Second, 0)
	take(5*time.Minute, 0) // as far ahead as the network may
	if r := take(time.Second, time.Second); r.Backdated {
		t.Errorf("the next line counts as backdated: %+v", r)
	}
	if r := take(2*time.Second, 2*time.Second, -9*time.Second); r.Backdated || clockText(r.Earliest) != "12:00:00" {
		t.Errorf("a later line, by another estimate of the clock: %+v", r)
	}
	if r := take(-3*time.Second, 2*time.Second); !r.Backdated {
		t.Errorf("one from before all of that does not: %+v", r)
	}
}

// A node that speaks again after it was down takes nobody for silent, and one whose servers
// have all gone promises what the clock allows.
func TestDowntimeIsNobodysSilence(t *testing.T) {
	w, p := newWatermarks(noon), newPromises()
	w.reported("a", report{Region: "eu", ToldNs: noon.Add(-time.Hour).UnixNano(), HeardNs: noon.Add(-time.Hour).UnixNano()})
	for _, c := range []struct {
		after  time.Duration
		want   string
		silent int
		gone   int
	}{
		{15 * time.Minute, "11:00:00", 0, 0},
		{15*time.Minute + 1, "12:00:00", 1, 0},
		{25 * time.Hour, "12:45:00", 0, 1},
	} {
		m, forgotten := p.at(&w, noon.Add(c.after), 15*time.Minute)
		if clockText(rules.Instant(m.ns)) != c.want || len(m.silent) != c.silent || len(forgotten) != c.gone {
			t.Errorf("after %s: %s, %v, %v", c.after, clockText(rules.Instant(m.ns)), m.silent, forgotten)
		}
	}
}
