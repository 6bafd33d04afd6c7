package rulestest

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"photofinish/rules"
	"photofinish/rules/hour"
)

// What the worlds of nodes are for occurs in them, in one of fifty at least.
// PFTEST_HISTORIES asks for more rounds of each kind.
func TestOccurs(t *testing.T) {
	rounds := 100
	if n, err := strconv.Atoi(os.Getenv("PFTEST_HISTORIES")); err == nil {
		rounds = n
	}
	wilds := Wilds()
	for _, name := range slices.Sorted(maps.Keys(wilds)) {
		wild := wilds[name]
		if !wild.Nodes {
			continue
		}
		seen := map[string]int{}
		for _, what := range expected(wild) {
			seen[what] = 0
		}
		for round := range uint64(rounds) {
			w := newWorld(t, rand.New(rand.NewPCG(round, 11)), wild)
			h := w.live()
			s := sight{w, &h, map[string]bool{}}
			s.rows()
			s.cuts()
			for what := range s.saw {
				seen[what]++
			}
		}
		for _, what := range slices.Sorted(maps.Keys(seen)) {
			t.Logf("%s: %s in %d of %d", name, what, seen[what], rounds)
			if seen[what]*50 < rounds {
				t.Errorf("%s: %s is too rare", name, what)
			}
		}
	}
}

// expected names what must occur.
func expected(wild Wildness) []string {
	all := []string{
		"a complete cut", "a copy by another node", "a hole", "a hole that is mended", "a late cut", "a late cut after made-up hours", "a line of later news", "a made-up hour",
		"a new node", "a row of a torn tail", "a row that was lost", "a silent server", "a watermark broken", "an hour cut in two", "back from excused",
		"back from retired", "backdated", "days in one cut", "equal instants of two servers", "excused", "failover", "lagging", "news without rows",
		"no order on one server", "offsets lost", "offsets void", "retired", "stale", "three cuts at once",
	}
	if wild.Clocks {
		all = append(all, "an interval beside its instant", "failover, other clock", "order against instants", "order against intervals")
	}
	if wild.Copies {
		all = append(all, "a conflict")
	}
	if wild.Changes {
		all = append(all, "other rules")
	}
	return all
}

// sight is what occurs in a history.
type sight struct {
	*world
	h   *History
	saw map[string]bool
}

func (s *sight) see(what string, seen bool) {
	if seen {
		s.saw[what] = true
	}
}

// rows sees what is between two rows of the log that the last cut holds.
func (s *sight) rows() {
	last := &s.h.Cuts[len(s.h.Cuts)-1].Cut
	for i := range s.h.Log {
		a := &s.h.Log[i]
		l := last.Line(a.Node)
		if l == nil || a.Offset > l.Offset {
			continue
		}
		s.see("a row that was lost", inSpans(l.Lost, a.Offset))
		s.see("a row of a torn tail", inSpans(l.Void, a.Offset))
		if !last.Within(a.Node, a.Offset) {
			continue
		}
		s.see("backdated", a.Backdated)
		s.see("an interval beside its instant", a.Earliest > a.Instant)
		for j := range s.h.Log {
			b := &s.h.Log[j]
			if !last.Within(b.Node, b.Offset) {
				continue
			}
			same, before := a.Identity() == b.Identity(), a.At < b.At || a.At == b.At && a.Seq < b.Seq
			s.see("equal instants of two servers", a.Server != b.Server && a.Instant == b.Instant)
			if a.Server != b.Server {
				continue
			}
			s.see("no order on one server", !same && a.At == b.At && a.Seq == b.Seq)
			s.see("failover", a.Node != b.Node)
			s.see("failover, other clock", a.Node != b.Node && a.At-a.Instant != b.At-b.Instant)
			s.see("a copy by another node", same && a.Node != b.Node && a.Content == b.Content)
			s.see("a conflict", same && a.Content != b.Content)
			s.see("order against instants", before && a.Instant > b.Instant)
			s.see("order against intervals", before && a.Earliest > b.Latest)
		}
	}
}

// cuts sees what cuts say, and what is between one and the next.
func (s *sight) cuts() {
	last := &s.h.Cuts[len(s.h.Cuts)-1].Cut
	for i := range s.h.Cuts {
		cut, before := &s.h.Cuts[i].Cut, &rules.Cut{}
		if i > 0 {
			before = &s.h.Cuts[i-1].Cut
			s.see("a made-up hour", cut.Kind == rules.HourCut && cut.ClosedAt == before.ClosedAt)
			s.see("a late cut", cut.Kind == rules.LateCut)
			s.see("a late cut after made-up hours", cut.Kind == rules.LateCut && cut.ClosedAt == before.ClosedAt)
			s.see("days in one cut", cut.Through-before.Through > minutesApart(24*60))
			s.see("three cuts at once", i > 1 && cut.ClosedAt == s.h.Cuts[i-2].Cut.ClosedAt)
			s.see("other rules", cut.Ruleset != before.Ruleset)
		}
		s.see("a complete cut", cut.Complete)
		s.see("an hour cut in two", cut.Through%minutesApart(60) != 0)
		for j := range cut.Nodes {
			l := &cut.Nodes[j]
			live, stale := l.State == rules.NodeLive, l.Others != 0
			s.see("lagging", live && !stale && l.Watermark < cut.Through)
			s.see("stale", live && stale)
			s.see("excused", l.State == rules.NodeExcused)
			s.see("retired", l.State == rules.NodeRetired)
			s.see("a silent server", len(l.Silent) > 0)
			s.see("offsets lost", len(l.Lost) > 0 && l.Lost[0].First <= l.Offset)
			hole := slices.ContainsFunc(s.known, func(r hour.Row) bool { return r.Node == l.Node && r.Published == l.Published && r.Offset > l.Offset })
			s.see("a hole", hole)
			s.see("a hole that is mended", hole && last.Within(l.Node, l.Offset+1))
			s.see("offsets void", len(l.Void) > 0 && l.Void[0].First <= l.Offset)
			b := before.Line(l.Node)
			if b == nil {
				s.see("a new node", i > 0)
				continue
			}
			s.see("back from "+string(b.State), live && b.State != rules.NodeLive)
			s.see("a line of later news", l.Published == b.Published && !stale && cut.ClosedAt > before.ClosedAt && s.older(l, cut.ClosedAt))
			s.see("news without rows", l.Published > b.Published && l.Offset == b.Offset)
			s.see("a watermark broken", s.broken(b, l, cut.Through))
		}
	}
}

// older reports whether the node had said more by the instant.
func (s *sight) older(l *rules.NodeLine, at rules.Instant) bool {
	return slices.ContainsFunc(s.known, func(r hour.Row) bool { return r.Node == l.Node && r.Published > l.Published && r.At <= at })
}

// broken reports whether a row that the second line adds is behind the watermark of the first.
func (s *sight) broken(b, l *rules.NodeLine, through rules.Instant) bool {
	return slices.ContainsFunc(s.h.Log, func(r rules.Record) bool {
		return r.Node == l.Node && b.Offset < r.Offset && r.Offset <= l.Offset && r.Earliest < b.Watermark && r.Instant < through
	})
}

func inSpans(spans []rules.Span, offset uint64) bool {
	return slices.ContainsFunc(spans, func(s rules.Span) bool { return s.First <= offset && offset <= s.Last })
}
