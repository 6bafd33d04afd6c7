package rulestest

import (
	"slices"
	"time"

	"photofinish/rules"
	"photofinish/rules/hour"
)

// Run is a run of a settler: what it was asked, what it read, and what it had to do.
type Run struct {
	Now     hour.Now
	Ruleset *rules.Ruleset
	Log     []rules.Record // the rows that can be read
	Rows    []hour.Row     // the progress that it reads, in the order of its publication
	Retired []hour.Retirement
	Cuts    int // how many it makes
}

// Rhythm is that of the runs: a node that has not spoken for an hour is excused, so that
// a history of some hours sees it.
func Rhythm() hour.Config { return hour.Config{Excuse: time.Hour} }

// settle makes the runs: each hour unless they are missed, and now and then one that
// somebody asks for.
func (w *world) settle() {
	if w.once(120) {
		w.away = w.now + w.minutes(30, 180)
	}
	asked := w.now - w.minutes(0, 90)
	read := w.now
	if w.once(2) {
		read -= w.minutes(1, 20)
	}
	switch past := (w.now - Minutes(0)) % minutesApart(60); {
	case past == minutesApart(3) && w.away <= w.now, w.once(90):
		w.run(hour.Now{T: w.now}, read)
	case w.once(200):
		w.run(hour.Now{Mode: hour.At, T: asked}, read)
	case w.once(300):
		w.run(hour.Now{Mode: hour.Through, T: asked}, read)
	}
}

// run settles what is due, by what nodes had published when it read that.
func (w *world) run(now hour.Now, read rules.Instant) {
	if w.wild.Changes && w.once(3) {
		w.set = Ruleset(w.TB, w.Rand, w.wild)
	}
	r := Run{Now: now, Ruleset: w.set, Log: w.log(w.now), Retired: slices.Clone(w.retired)}
	for _, word := range w.known {
		if word.At <= read {
			r.Rows = append(r.Rows, word)
		}
	}
	progress := hour.Progress{Retired: w.retired, Rows: slices.DeleteFunc(slices.Clone(r.Rows), func(word hour.Row) bool {
		l := w.last.Cut.Line(word.Node)
		return l != nil && word.Published < l.Published
	})}
	for w.next(&r, progress) {
		if r.Cuts++; r.Cuts > 50 {
			w.Fatal("the plan does not end")
		}
	}
	w.runs = append(w.runs, r)
}

// next makes the run's next cut, and reports whether there is one.
func (w *world) next(r *Run, progress hour.Progress) bool {
	plan, err := Rhythm().Next(r.Now, w.last, progress, w, w.now, r.Ruleset.Digest)
	if err != nil {
		w.Fatal(err)
	}
	if plan.Cut == nil {
		return false
	}
	cut := *plan.Cut
	entries := w.ledger.Settle(r.Log, &cut, r.Ruleset)
	w.last = hour.Last{Cut: cut, Again: entries[len(entries)-1].Settled.Again}
	w.cuts = append(w.cuts, rules.SimulatedCut{Cut: cut, Ruleset: r.Ruleset})
	return true
}

// log returns the rows that can be read at an instant.
func (w *world) log(at rules.Instant) []rules.Record {
	var log []rules.Record
	for _, r := range w.rows {
		if r.from <= at {
			log = append(log, r.Record)
		}
	}
	return log
}

// within returns the rows that can be read within the lines.
func (w *world) within(lines []rules.NodeLine) []rules.Record {
	cut := rules.Cut{Nodes: lines}
	return slices.DeleteFunc(w.log(w.now), func(r rules.Record) bool { return !cut.Within(r.Node, r.Offset) })
}

// First is asked by a plan; see hour.Log.
func (w *world) First(lines []rules.NodeLine) (rules.Instant, bool, error) {
	first := rules.Never
	for _, r := range w.within(lines) {
		first = min(first, r.Instant)
	}
	return first, first != rules.Never, nil
}

// Busy is asked by a plan of more than a day; see hour.Log.
func (w *world) Busy(lines []rules.NodeLine, from, to rules.Instant, period time.Duration) ([]rules.Instant, error) {
	var busy []rules.Instant
	for _, r := range w.within(lines) {
		if from <= r.Instant && r.Instant < to {
			busy = append(busy, r.Instant-r.Instant%rules.Instant(period))
		}
	}
	slices.Sort(busy)
	return slices.Compact(busy), nil
}

// Late is asked by a plan; see hour.Log.
func (w *world) Late(last *rules.Cut, lines []rules.NodeLine) (bool, error) {
	known := map[rules.Identity]bool{}
	for _, r := range w.within(last.Nodes) {
		known[r.Identity()] = known[r.Identity()] || r.Instant < last.Through
	}
	return slices.ContainsFunc(w.within(lines), func(r rules.Record) bool { return r.Instant < last.Through && !known[r.Identity()] }), nil
}

// Hole is asked by a plan; see hour.Log.
func (w *world) Hole(name string, after, upTo uint64, skip []rules.Span) (hole rules.Span, found bool, err error) {
	there := map[uint64]bool{}
	for _, r := range w.log(w.now) {
		there[r.Offset] = there[r.Offset] || r.Node == name
	}
	for _, s := range skip {
		for o := s.First; o <= s.Last; o++ {
			there[o] = true
		}
	}
	for o := after + 1; o <= upTo; o++ {
		switch {
		case !there[o] && !found:
			hole, found = rules.Span{First: o, Last: o}, true
		case !there[o]:
			hole.Last = o
		case found:
			return hole, true, nil
		}
	}
	return hole, found, nil
}
