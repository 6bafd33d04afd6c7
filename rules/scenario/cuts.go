package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

// What the recorded cuts of a scenario have in common: see Help.
const (
	delay   = 2 * time.Minute  // an hour's cut is as of so long after its end
	beyond  = 24 * time.Hour   // a node that does not lag promises so much beyond the end
	silence = 15 * time.Minute // a node that does not speak is believed up to so long before its last word
)

// nodeWord is what a cut's line says of a node. The zero value is a node that lags
// nowhere.
type nodeWord struct {
	node  string
	state rules.NodeState
	mark  rules.Instant // its watermark; 0: beyond the cut
	since rules.Instant // when it last spoke; 0: just now
	stale bool
}

// cutLine is a line of cuts.
type cutLine struct {
	number         int
	time, asOf     rules.Instant // asOf 0: by the kind of cut
	late, complete bool
	nodes          []nodeWord
}

// rulesets are the parts that are rules files, each read once.
type rulesets struct {
	*reader
	read map[string]*rules.Ruleset
}

func (r *rulesets) use(line int, name string) *rules.Ruleset {
	p := r.parts.get(name)
	switch {
	case p.line == 0:
		r.problem(line, "there is no part -- %s --", name)
	case r.read[name] == nil:
		set, err := rulefile.Parse(name, p.data)
		if err != nil {
			r.errs = append(r.errs, err)
			set = &rules.Ruleset{}
		}
		r.read[name] = set
	}
	return r.read[name]
}

// readCuts reads the cuts, without their nodes' offsets; words are what each says of
// nodes.
func (s *reader) readCuts(p part) (cuts []rules.SimulatedCut, words [][]nodeWord) {
	sets := rulesets{s, map[string]*rules.Ruleset{}}
	set := sets.use(p.line, "rules.yaml")
	p.lines(func(line int, text []string) {
		l := cutLine{number: line, time: s.readTime(line, text[0])}
		for rest := text[1:]; len(rest) > 0; {
			n, err := l.option(s, rest)
			if rest[0] == "rules" && len(rest) > 1 {
				set, n, err = sets.use(line, rest[1]), 2, nil
			}
			if err != nil {
				s.problem(line, "%v", err)
				return
			}
			rest = rest[n:]
		}
		last := rules.Cut{}
		if len(cuts) > 0 {
			last = cuts[len(cuts)-1].Cut
		}
		cut := l.cut(s, &last)
		if set != nil {
			cut.Ruleset = set.Digest
		}
		cuts, words = append(cuts, rules.SimulatedCut{Cut: cut, Ruleset: set}), append(words, l.nodes)
	})
	if len(cuts) == 0 {
		s.problem(p.line, "there is no cut")
	}
	return cuts, words
}

// option reads the first words of what stands after a cut's time, and returns how
// many.
func (l *cutLine) option(s *reader, rest []string) (int, error) {
	word := func(i int) string {
		if i < len(rest) {
			return rest[i]
		}
		return ""
	}
	switch {
	case rest[0] == "late":
		l.late = true
		return 1, nil
	case rest[0] == "complete":
		l.complete = true
		return 1, nil
	case rest[0] == "as_of" && len(rest) > 1:
		l.asOf = s.readTime(l.number, rest[1])
		return 2, nil
	case (rest[0] == "retired" || rest[0] == "excused") && len(rest) > 1:
		return 2, l.node(nodeWord{node: rest[1], state: rules.NodeState(rest[0])})
	case rest[0] == "waits" && word(1) == "for" && word(3) == "since" && len(rest) > 4:
		mark := s.readTime(l.number, rest[4])
		return 5, l.node(nodeWord{node: rest[2], state: rules.NodeLive, mark: mark, since: mark})
	case rest[0] == "stale" && word(2) == "since" && len(rest) > 3:
		since := s.readTime(l.number, rest[3])
		return 4, l.node(nodeWord{node: rest[1], state: rules.NodeLive, mark: since.Add(-silence), since: since, stale: true})
	}
	return 0, fmt.Errorf("%q must be: as_of TIME, late, complete, waits for NODE since TIME, stale NODE since TIME, "+
		"excused NODE, retired NODE, or rules FILE", strings.Join(rest, " "))
}

func (l *cutLine) node(w nodeWord) error {
	if slices.ContainsFunc(l.nodes, func(n nodeWord) bool { return n.node == w.node }) {
		return fmt.Errorf("the node %s is named twice", w.node)
	}
	l.nodes = append(l.nodes, w)
	return nil
}

// cut returns the record of the cut, but for its ruleset and nodes.
func (l *cutLine) cut(s *reader, last *rules.Cut) rules.Cut {
	cut := rules.Cut{
		Number: last.Number + 1, Kind: rules.HourCut, Through: l.time, AsOf: l.time.Add(delay), Complete: l.complete,
		Receipts: []rules.Partition{},
	}
	switch {
	case l.late && last.Number == 0:
		s.problem(l.number, "the first cut is of an hour: there is nothing it could be late for")
	case l.late && l.complete:
		s.problem(l.number, "a cut is late or complete, not both: a late one is complete if the cut before was")
	case l.late:
		cut.Kind, cut.Through, cut.AsOf, cut.Complete = rules.LateCut, last.Through, l.time, last.Complete
	case l.complete:
		cut.AsOf = l.time
	}
	if l.asOf != 0 {
		cut.AsOf = l.asOf
	}
	switch {
	case cut.Through < last.Through || l.asOf != 0 && l.asOf < last.AsOf:
		s.problem(l.number, "a cut never goes back in time")
	case !l.late && last.Number > 0 && cut.Through == last.Through:
		s.problem(l.number, "an hour is settled once: let the cut be later than the one before, or say late")
	}
	cut.AsOf = max(cut.AsOf, last.AsOf)
	cut.ClosedAt = max(cut.AsOf, last.ClosedAt)
	return cut
}

// appendLog gives each event its offset in the partition of its node, in the order
// in which they arrive, and each cut its line of each node.
func appendLog(events []event, cuts []rules.SimulatedCut, words [][]nodeWord) []rules.Record {
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.arrives, b.arrives) })
	var log []rules.Record
	known := map[string]*partition{}
	var nodes []string
	node := func(name string) *partition {
		if known[name] == nil {
			known[name] = &partition{}
			nodes = append(nodes, name)
			slices.Sort(nodes)
		}
		return known[name]
	}
	for i := range cuts {
		cut := &cuts[i].Cut
		for len(events) > 0 && uint64(events[0].arrives) <= cut.Number {
			r := events[0].Record
			r.Offset = node(r.Node).take(r.Region)
			log = append(log, r)
			events = events[1:]
		}
		for _, w := range words[i] {
			node(w.node)
		}
		cut.Nodes = []rules.NodeLine{}
		for _, name := range nodes {
			w := nodeWord{node: name}
			if k := slices.IndexFunc(words[i], func(w nodeWord) bool { return w.node == name }); k >= 0 {
				w = words[i][k]
			}
			cut.Nodes = append(cut.Nodes, known[name].line(w, cut))
		}
	}
	return log
}

// partition is what a node has taken so far.
type partition struct {
	offset  uint64
	regions []string // of its servers, sorted
}

func (p *partition) take(region string) uint64 {
	p.offset++
	if i, found := slices.BinarySearch(p.regions, region); !found {
		p.regions = slices.Insert(p.regions, i, region)
	}
	return p.offset
}

// line returns what the cut knows of the node. One that has told of no event yet is
// taken for the node of the region of its name.
func (p *partition) line(w nodeWord, cut *rules.Cut) rules.NodeLine {
	l := rules.NodeLine{
		Node: w.node, Published: cut.Number, Offset: p.offset, Watermark: w.mark, State: cmp.Or(w.state, rules.NodeLive), Since: w.since,
		Regions: []rules.RegionMark{}, Silent: []rules.SilentServer{}, Lost: []rules.Span{}, Void: []rules.Span{},
	}
	if l.Watermark == 0 {
		l.Watermark, l.Since = cut.Through.Add(beyond), cut.AsOf
	}
	if w.stale {
		l.Others = l.Watermark
	}
	regions := p.regions
	if len(regions) == 0 {
		regions = []string{w.node}
	}
	for _, r := range regions {
		l.Regions = append(l.Regions, rules.RegionMark{Region: r, Watermark: l.Watermark})
	}
	return l
}
