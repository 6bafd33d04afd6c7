package ingest

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"photofinish/rules"
)

// maxServers bounds the servers whose reports a node keeps.
const maxServers = 100_000

// forgetAfter is how many times SilentAfter a server is named as silent before it is
// taken for switched off.
const forgetAfter = 96 // a day at the default of 15 minutes

// report is how far a server has reported, heartbeats included.
type report struct {
	Region  string `json:"region"`  // empty: not known any more
	ToldNs  int64  `json:"told_ns"` // the greatest earliest end of any of it
	AtNs    int64  `json:"at_ns"`   // the last stamp and number, by the server's own clock
	Seq     uint64 `json:"seq"`
	HeardNs int64  `json:"heard_ns"` // when, by the node's clock
}

// reportOf returns what a record says by itself. A stamp that lies beyond now says no more
// than one of now: otherwise one line dated ahead would make everything that its server
// sends until then come after what it reported.
func reportOf(r *record, now time.Time) report {
	said := report{Region: r.Region, ToldNs: int64(r.Earliest), AtNs: int64(r.At), Seq: r.Seq, HeardNs: now.UnixNano()}
	if ahead := int64(r.Instant) - said.HeardNs; ahead > 0 {
		said.ToldNs -= ahead
		said.AtNs -= ahead
	}
	return said
}

// join returns both reports as one; the order does not matter.
func (said report) join(more report, known bool) report {
	if !known {
		return more
	}
	if cmp.Or(cmp.Compare(more.AtNs, said.AtNs), cmp.Compare(more.Seq, said.Seq)) > 0 {
		said.AtNs, said.Seq = more.AtNs, more.Seq
	}
	if more.HeardNs >= said.HeardNs {
		said.HeardNs, said.Region = more.HeardNs, more.Region
	}
	said.ToldNs = max(said.ToldNs, more.ToldNs)
	return said
}

// order makes the record agree with what its server has reported before. An event that
// the server itself puts after all of that cannot have happened before it: its earliest
// end is raised, so that a new estimate of the server's clock cannot break a promise. An
// event that the server puts before something it reported stays as it is, and is marked
// backdated if it can have happened before the instant up to which the server reported.
func (said report) order(r *record) {
	if cmp.Or(cmp.Compare(int64(r.At), said.AtNs), cmp.Compare(r.Seq, said.Seq)) < 0 {
		r.Backdated = r.Earliest < rules.Instant(said.ToldNs)
		return
	}
	r.Earliest = max(r.Earliest, rules.Instant(said.ToldNs))
	r.Latest = max(r.Latest, r.Earliest)
}

// watermarks is what a node's servers have reported, up to the end of its spool.
type watermarks struct {
	Servers  map[string]report `json:"servers"`
	Imported map[string]int64  `json:"imported"` // by region, the greatest earliest end of an import, or what was said to be complete
	Pushed   bool              `json:"pushed"`   // servers have sent to this node: it does not only import
	End      uint64            `json:"end"`      // of the spool

	// Bare says that earlier reports may be missing and the node's last word was not yet
	// taken for them.
	Bare bool `json:"bare"`
	// Held is what was promised of each region before the reports were lost. Until each
	// server had the time to speak again nothing more is promised.
	Held map[string]int64 `json:"held,omitempty"`

	started int64 // when this process took the node, by its clock
}

func newWatermarks(now time.Time) watermarks {
	return watermarks{Servers: map[string]report{}, Imported: map[string]int64{}, Bare: true, started: now.UnixNano()}
}

// clone returns a copy that the node's lock does not guard.
func (w *watermarks) clone() watermarks {
	c := *w
	c.Servers, c.Imported = maps.Clone(w.Servers), maps.Clone(w.Imported)
	return c
}

// reported notes a server's report.
func (w *watermarks) reported(server string, said report) {
	before, known := w.Servers[server]
	if !known && len(w.Servers) >= maxServers {
		return // its events count all the same; only the watermark does not wait for it
	}
	w.Servers[server] = before.join(said, known)
	w.Pushed = true
}

// imported notes that a region's import is complete up to an instant, as far as that is
// not beyond now.
func (w *watermarks) imported(region string, upTo rules.Instant, now time.Time) {
	if upTo > 0 {
		w.Imported[region] = max(w.Imported[region], min(int64(upTo), now.UnixNano()))
	}
}

// hold takes a node's last word for what its servers had reported, where nothing else is
// known of them.
func (w *watermarks) hold(m mark) {
	w.Held = map[string]int64{} // it is replaced, never changed: copies share it
	for _, r := range m.regions {
		if _, imported := w.Imported[r.Region]; !imported {
			w.Held[r.Region] = int64(r.Watermark)
		}
	}
	for _, s := range m.silent {
		if _, known := w.Servers[s.Server]; !known {
			w.Servers[s.Server] = report{ToldNs: int64(s.Watermark), AtNs: int64(s.Watermark), HeardNs: int64(s.Since)}
		}
	}
	w.Pushed = w.Pushed || len(w.Held)+len(m.silent) > 0
}

// known reports whether there is anything to promise.
func (w *watermarks) known() bool { return w.Pushed || len(w.Imported) > 0 }

// mark is a promise: no event that gets a later offset happened before it, of the servers
// that the node waits for; of the whole node, of each region whose servers it knows, and
// the servers that it no longer waits for.
type mark struct {
	ns      int64
	regions []rules.RegionMark   // by region
	silent  []rules.SilentServer // by server
}

// promises is what a process has promised. It never falls.
type promises struct {
	highest int64
	regions map[string]int64
}

func newPromises() promises { return promises{highest: math.MinInt64, regions: map[string]int64{}} }

// at returns the promise at now. It is the least instant up to which a live server has
// reported. Where no server is live it is silence before now: each had that long to
// report. Of a node that only imports it is the end of what it imported. It is never
// after now. A server is live if it was heard within silence; the time in which the node
// itself was down does not count. Servers that were silent for very long are returned as
// forgotten.
func (p *promises) at(w *watermarks, now time.Time, silence time.Duration) (m mark, forgotten []string) {
	nowNs := now.UnixNano()
	m = mark{silent: []rules.SilentServer{}, regions: []rules.RegionMark{}}
	least := map[string]int64{} // by region
	wait := func(region string, ns int64) {
		if before, seen := least[region]; !seen || ns < before {
			least[region] = ns
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Servers)) {
		r := w.Servers[name]
		quiet := nowNs - max(r.HeardNs, w.started)
		switch {
		case quiet/forgetAfter > int64(silence):
			forgotten = append(forgotten, name)
			continue
		case quiet > int64(silence):
			m.silent = append(m.silent, rules.SilentServer{Server: name, Watermark: rules.Instant(r.ToldNs), Since: rules.Instant(r.HeardNs)})
			wait(r.Region, math.MaxInt64)
		case r.Region != "":
			wait(r.Region, r.ToldNs)
		}
	}
	if nowNs-w.started <= int64(silence) {
		for region, ns := range w.Held {
			wait(region, ns)
		}
	}
	delete(least, "")
	p.raise(w, least, nowNs, silence)
	m.ns = p.highest
	for _, region := range slices.Sorted(maps.Keys(p.regions)) {
		m.regions = append(m.regions, rules.RegionMark{Region: region, Watermark: rules.Instant(p.regions[region])})
	}
	return m, forgotten
}

// raise lets the promises follow what is known: least by region of the live servers, the
// greatest number where none is live.
func (p *promises) raise(w *watermarks, least map[string]int64, nowNs int64, silence time.Duration) {
	all := int64(math.MaxInt64)
	now := map[string]int64{}
	for region, ns := range least {
		all = min(all, ns)
		now[region] = min(nowNs, orSilent(ns, nowNs, silence))
	}
	upTo := int64(math.MinInt64)
	for region, ns := range w.Imported {
		upTo = max(upTo, min(nowNs, ns))
		if _, live := now[region]; !live {
			now[region] = min(nowNs, ns)
		}
	}
	if w.Pushed {
		upTo = min(nowNs, orSilent(all, nowNs, silence))
	}
	p.highest = max(p.highest, upTo)
	for region, ns := range now {
		if before, known := p.regions[region]; known {
			now[region] = max(before, ns)
		}
	}
	p.regions = now // of a region without a server nothing is said
}

// orSilent returns least, or where no server is live, and least is therefore the greatest
// number, the instant silence before now.
func orSilent(least, nowNs int64, silence time.Duration) int64 {
	if least == math.MaxInt64 {
		return nowNs - int64(silence)
	}
	return least
}
