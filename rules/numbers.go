package rules

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// The bounds of what a settlement knows of numbers, and of what it records.
const (
	MaxLacks     = 100  // servers in an entry
	MaxGaps      = 10   // of a server, the newest
	MaxRuns      = 1000 // of the numbers that a cut takes in of a server, the newest
	NumberedCuts = 168  // a server of which so many cuts took nothing in is new
)

// gapTerm is how long a gap is told of: rarely may anything change what was decided after
// that, and nobody sends it any more.
const gapTerm = 720 * time.Hour

// Lack says which running numbers of a server the log lacks, as far as a cut reads it. It
// decides nothing. It depends on the log alone: what a server sent to another node is
// there, whichever node took it and whatever became of that, and what it sent later is
// there from then on.
type Lack struct {
	Server string `json:"server"`
	From   uint64 `json:"from,string"`      // what is before is not looked at
	Last   uint64 `json:"last,string"`      // the greatest that came
	Came   uint64 `json:"came,string"`      // how many of those between came; one that came in two cuts is two
	Gaps   []Gap  `json:"gaps"`             // what did not come, by First; they do not touch
	Older  bool   `json:"older,omitempty"`  // and more before these, of which nothing is known any more
	Sparse bool   `json:"sparse,omitempty"` // fewer than half came: the server does not number without holes
}

// Gap is a span of numbers that did not come.
type Gap struct {
	Span
	Since Instant `json:"since"` // AsOf of the cut that found it
}

// Numbered is what a cut takes in of a server's numbers.
type Numbered struct {
	Server string
	Known  Came   // what the NumberedCuts before took in; zero: nothing
	In     Came   // what it takes in
	Runs   []Span // the same, in order, of many the last MaxRuns; they do not touch
}

// Unused is a span of numbers that a server says it gave to no event: they are not missing.
type Unused struct {
	Server string `json:"server"`
	Span
}

// WithUnused takes numbers for come that servers gave to no event, as the cut says and the
// one before did not. The list is by server, and what is returned is.
func WithUnused(in []Numbered, previous, cut *Cut) []Numbered {
	by := map[string]*Numbered{}
	for i := range in {
		by[in[i].Server] = &in[i]
	}
	said := map[Unused]bool{}
	for i := range previous.Nodes {
		for _, u := range previous.Nodes[i].Unused {
			said[u] = true
		}
	}
	for i := range cut.Nodes {
		for _, u := range cut.Nodes[i].Unused {
			if said[u] {
				continue
			}
			said[u] = true
			n := by[u.Server]
			if n == nil {
				n = &Numbered{Server: u.Server, In: Came{First: u.First}}
				by[u.Server] = n
			}
			n.In = Came{min(n.In.First, u.First), max(n.In.Last, u.Last), n.In.Count + u.Last - u.First + 1}
			n.Runs = newest(Join(n.Runs, []Span{u.Span}))
		}
	}
	all := make([]Numbered, 0, len(by))
	for _, server := range slices.Sorted(maps.Keys(by)) {
		all = append(all, *by[server])
	}
	return all
}

func newest(runs []Span) []Span { return runs[max(0, len(runs)-MaxRuns):] }

// Came is what came of a server's numbers: the least, the greatest, and how many in each
// cut, added up.
type Came struct{ First, Last, Count uint64 }

// runs returns the numbers as spans that do not touch, and how many they are, each counted
// once. They are sorted in place; 0 is none.
func runs(numbers []uint64) (spans []Span, count uint64) {
	slices.Sort(numbers)
	for _, n := range slices.Compact(numbers) {
		if n == 0 {
			continue
		}
		count++
		if last := len(spans) - 1; last >= 0 && n-spans[last].Last == 1 {
			spans[last].Last = n
		} else {
			spans = append(spans, Span{n, n})
		}
	}
	return spans, count
}

// Lacks returns what the log lacks as of a cut, by server, from what it lacked as of the
// one before and what the cut takes in, and of how many more servers it lacks something.
func Lacks(before []Lack, in []Numbered, asOf Instant) (lacks []Lack, more uint64) {
	known := map[string]*Lack{}
	for _, l := range before {
		l.Gaps = slices.Clone(l.Gaps)
		known[l.Server] = &l
	}
	for _, n := range in {
		l := known[n.Server]
		if l == nil {
			l = &Lack{Server: n.Server, From: n.Known.First, Last: n.Known.Last, Came: n.Known.Count}
			known[n.Server] = l
		}
		l.Came += n.In.Count
		for _, run := range n.Runs {
			l.take(run, asOf)
		}
	}
	for _, server := range slices.Sorted(maps.Keys(known)) {
		if l := known[server]; l.judge(asOf) {
			lacks = append(lacks, *l)
		}
	}
	// Those that number without holes come first: whoever does not must not crowd them out.
	slices.SortStableFunc(lacks, func(a, b Lack) int {
		return cmp.Compare(map[bool]int{true: 1}[a.Sparse], map[bool]int{true: 1}[b.Sparse])
	})
	if len(lacks) > MaxLacks {
		for _, l := range lacks[MaxLacks:] {
			if !l.Sparse {
				more++
			}
		}
		lacks = lacks[:MaxLacks]
	}
	slices.SortFunc(lacks, func(a, b Lack) int { return strings.Compare(a.Server, b.Server) })
	return lacks, more
}

// take notes numbers that came.
func (l *Lack) take(run Span, asOf Instant) {
	switch {
	case l.Last == 0:
		l.From, l.Last = run.First, run.Last
	case run.First > l.Last && run.First-l.Last > 1:
		l.Gaps = append(l.Gaps, Gap{Span{l.Last + 1, run.First - 1}, asOf})
	default:
		var left []Gap
		for _, g := range l.Gaps {
			if run.Last < g.First || g.Last < run.First {
				left = append(left, g)
				continue
			}
			if g.First < run.First {
				left = append(left, Gap{Span{g.First, run.First - 1}, g.Since})
			}
			if run.Last < g.Last {
				left = append(left, Gap{Span{run.Last + 1, g.Last}, g.Since})
			}
		}
		l.Gaps = left
	}
	l.Last = max(l.Last, run.Last)
}

// judge forgets what is too old or too much, and reports whether anything is missing.
func (l *Lack) judge(asOf Instant) bool {
	for len(l.Gaps) > 0 && l.Gaps[0].Since.Add(gapTerm) <= asOf {
		g := l.Gaps[0] // everything before it is taken for come
		l.Came -= min(l.Came, g.First-l.From)
		l.From, l.Gaps, l.Older = g.Last+1, l.Gaps[1:], false
	}
	if more := len(l.Gaps) - MaxGaps; more > 0 {
		l.Gaps, l.Older = l.Gaps[more:], true
	}
	all := l.Last - l.From + 1
	l.Sparse = all > l.Came && all-l.Came > l.Came
	return len(l.Gaps) > 0
}

// Numbering remembers in memory what the last cuts took in, as a settlement does in a
// table. The zero Numbering has seen no cut.
type Numbering struct {
	of map[string][]taken
}

// taken is what a cut took in of a server.
type taken struct {
	cut uint64
	Came
}

// Take takes in the numbers of a cut, by server, and what its lines say is unused, and
// returns them as Lacks wants them. It sorts them.
func (n *Numbering) Take(previous, cut *Cut, numbers map[string][]uint64) []Numbered {
	if n.of == nil {
		n.of = map[string][]taken{}
	}
	var all []Numbered
	for _, server := range slices.Sorted(maps.Keys(numbers)) {
		if spans, count := runs(numbers[server]); count > 0 {
			all = append(all, Numbered{Server: server, In: Came{spans[0].First, spans[len(spans)-1].Last, count}, Runs: newest(spans)})
		}
	}
	all = WithUnused(all, previous, cut)
	for i := range all {
		in := &all[i]
		before := slices.DeleteFunc(n.of[in.Server], func(t taken) bool { return t.cut+NumberedCuts < cut.Number })
		for i, t := range before {
			if i == 0 {
				in.Known.First = t.First
			}
			in.Known = Came{min(in.Known.First, t.First), max(in.Known.Last, t.Last), in.Known.Count + t.Count}
		}
		n.of[in.Server] = append(before, taken{cut.Number, in.In})
	}
	return all
}
