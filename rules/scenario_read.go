package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxScenarioLines bounds the events of a scenario: it is there to be read.
const maxScenarioLines = 10_000

// scenario is what a scenario file says.
type scenario struct {
	log  []Record
	cuts []SimulatedCut
}

// scenarioReader collects everything that is wrong with the file.
type scenarioReader struct {
	parts scenarioParts
	errs  []error
}

func (s *scenarioReader) problem(line int, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("line %d: "+format, append([]any{line}, args...)...))
}

func readScenario(parts scenarioParts) (*scenario, error) {
	s := &scenarioReader{parts: parts}
	for i, p := range parts {
		known := p.name == "events" || p.name == "cuts" || p.name == "want" || strings.HasSuffix(p.name, ".yaml")
		if !known {
			s.problem(p.line, "unknown part %s: must be rules.yaml, events, cuts or want", quote(p.name))
		}
		if parts.get(p.name).line != parts[i].line {
			s.problem(p.line, "there is a part %s already", quote(p.name))
		}
	}
	for _, name := range []string{"rules.yaml", "events", "cuts"} {
		if parts.get(name).line == 0 {
			s.errs = append(s.errs, fmt.Errorf("the part -- %s -- is missing", name))
		}
	}
	if len(s.errs) > 0 {
		return nil, errors.Join(s.errs...)
	}
	events := s.readEvents(parts.get("events"))
	cuts := s.readCuts(parts.get("cuts"))
	for _, e := range events {
		if e.arrives > len(cuts) {
			s.problem(e.line, "arrives at cut %d, but there are %d", e.arrives, len(cuts))
		}
	}
	if len(s.errs) > 0 {
		return nil, errors.Join(s.errs...)
	}
	return &scenario{appendLog(events, cuts), cuts}, nil
}

// lines returns the words of each line that says something.
func (p scenarioPart) lines(each func(line int, words []string)) {
	for i, text := range strings.Split(string(p.data), "\n") {
		if words := strings.Fields(text); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			each(p.line+1+i, words)
		}
	}
}

// scenarioEvent is a record that has no offset yet.
type scenarioEvent struct {
	Record
	line    int
	arrives int
	errNs   int64
}

func (s *scenarioReader) readEvents(part scenarioPart) []scenarioEvent {
	var events []scenarioEvent
	part.lines(func(line int, words []string) {
		if len(events) == maxScenarioLines {
			s.problem(line, "a scenario may have %d events", maxScenarioLines)
		}
		if len(words) < 5 {
			s.problem(line, "an event is TIME SERVER TYPE WHAT PLAYER, such as: 12:00:05 eu-1 kill rabbit ash")
			return
		}
		e := scenarioEvent{line: line, arrives: 1}
		e.Instant = s.readTime(line, words[0])
		e.At, e.Count, e.ID = e.Instant, 1, strconv.Itoa(len(events)+1)
		var named bool
		if e.Server, e.Region, named = strings.Cut(words[1], "@"); !named {
			e.Region, _, _ = strings.Cut(e.Server, "-")
		}
		e.Node = e.Region
		e.Type = words[2]
		if what := nothing(words[3]); e.Type == TypePurchase {
			e.SKU = what
		} else {
			e.Target = what
		}
		e.Player = nothing(words[4])
		for _, word := range words[5:] {
			if err := e.readWord(s, word); err != nil {
				s.problem(line, "%v", err)
			}
		}
		e.Content = e.Digest()
		e.Exactly(e.errNs)
		events = append(events, e)
	})
	return events
}

// nothing reads a word of which - says that there is none.
func nothing(word string) string {
	if word == "-" {
		return ""
	}
	return word
}

func (e *scenarioEvent) readWord(s *scenarioReader, word string) error {
	for _, sign := range []string{"±", "+-"} {
		if text, ok := strings.CutPrefix(word, sign); ok {
			d, err := time.ParseDuration(text)
			if err != nil || d < 0 || d > maxDuration {
				return fmt.Errorf("%s must be an uncertainty such as ±5ms, at most %s", word, spell(maxDuration))
			}
			e.errNs = int64(d)
			return nil
		}
	}
	if n, err := strconv.ParseInt(strings.TrimPrefix(word, "x"), 10, 64); err == nil && strings.HasPrefix(word, "x") {
		e.Count = n
		return nil
	}
	name, value, ok := strings.Cut(word, "=")
	if !ok || name == "" {
		return fmt.Errorf("%s is neither a count such as x5, an uncertainty such as ±5ms, nor word=text", quote(word))
	}
	var err error
	switch name {
	case "seq":
		e.Seq, err = strconv.ParseUint(value, 10, 64)
	case "arrives":
		if e.arrives, err = strconv.Atoi(value); err == nil && e.arrives < 1 {
			err = errors.New("the first cut is 1")
		}
	case "guild":
		e.Guild = value
	case "clock":
		e.At = s.readTime(e.line, value)
	case "node":
		e.Node = value
	case "id":
		e.ID = value
	default:
		if e.Attrs == nil {
			e.Attrs = map[string]string{}
		}
		e.Attrs[name] = value
	}
	if err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return nil
}

// readTime reads a time of day on scenarioDay, or MM-DDTtime in its year.
func (s *scenarioReader) readTime(line int, text string) Instant {
	day, clock, dated := strings.Cut(text, "T")
	if !dated {
		day, clock = scenarioDay, text
	}
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	i, err := ParseInstant(scenarioYear + day + "T" + clock + "Z")
	if err != nil {
		s.problem(line, "%s must be a time such as 12:00, 12:00:05.000040 or 06-02T12:00", quote(text))
	}
	return i
}

// The day that a time without one is on.
const (
	scenarioYear = "2026-"
	scenarioDay  = "06-01"
)

func (s *scenarioReader) readCuts(part scenarioPart) []SimulatedCut {
	sets := map[string]*Ruleset{}
	use := func(line int, name string) *Ruleset {
		if p := s.parts.get(name); sets[name] == nil && p.line > 0 {
			set, err := ParseRuleset(name, p.data)
			if err != nil {
				s.errs = append(s.errs, err)
				set = &Ruleset{}
			}
			sets[name] = set
		} else if p.line == 0 {
			s.problem(line, "there is no part -- %s --", name)
		}
		return sets[name]
	}
	set := use(part.line, "rules.yaml")
	var cuts []SimulatedCut
	part.lines(func(line int, words []string) {
		cut := Cut{Number: uint64(len(cuts) + 1), Through: s.readTime(line, words[0]), Kind: HourCut}
		cut.AsOf, cut.ClosedAt = cut.Through, cut.Through
		if len(cuts) > 0 && cut.Through < cuts[len(cuts)-1].Cut.Through {
			s.problem(line, "a cut never goes back in time")
		}
		for rest := words[1:]; len(rest) > 0; {
			switch {
			case len(rest) >= 5 && rest[0] == "waits" && rest[1] == "for" && rest[3] == "since":
				cut.Nodes = append(cut.Nodes, NodeLine{Node: rest[2], Watermark: s.readTime(line, rest[4])})
				rest = rest[5:]
			case len(rest) >= 2 && rest[0] == "rules":
				set = use(line, rest[1])
				rest = rest[2:]
			default:
				s.problem(line, "%s must be: waits for NODE since TIME, or: rules FILE", quote(strings.Join(rest, " ")))
				rest = nil
			}
		}
		if set != nil {
			cut.Ruleset = set.Digest
		}
		cuts = append(cuts, SimulatedCut{cut, set})
	})
	if len(cuts) == 0 {
		s.problem(part.line, "there is no cut")
	}
	return cuts
}

// appendLog gives each event its offset in the partition of its node, in the order
// in which they arrive, and each cut how far it reads each node.
func appendLog(events []scenarioEvent, cuts []SimulatedCut) []Record {
	slices.SortStableFunc(events, func(a, b scenarioEvent) int { return cmp.Compare(a.arrives, b.arrives) })
	offsets := map[string]uint64{}
	var log []Record
	var nodes []string
	seen := 0
	for i := range cuts {
		cut := &cuts[i].Cut
		for ; seen < len(events) && uint64(events[seen].arrives) <= cut.Number; seen++ {
			r := events[seen].Record
			offsets[r.Node]++
			r.Offset = offsets[r.Node]
			log = append(log, r)
			nodes = append(nodes, r.Node)
		}
		for _, n := range cut.Nodes {
			nodes = append(nodes, n.Node)
		}
		slices.Sort(nodes)
		nodes = slices.Compact(nodes)
		waits := cut.Nodes
		cut.Nodes = []NodeLine{}
		for _, node := range nodes {
			n := NodeLine{Node: node, Offset: offsets[node], Watermark: cut.Through, State: NodeLive, Since: cut.Through}
			if w := slices.IndexFunc(waits, func(n NodeLine) bool { return n.Node == node }); w >= 0 {
				n.Watermark = min(waits[w].Watermark, cut.Through)
			}
			cut.Nodes = append(cut.Nodes, n)
		}
	}
	return log
}
