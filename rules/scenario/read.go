package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"photofinish/rules"
)

// The bounds of a scenario: it is there to be read.
const (
	maxEvents = 10_000
	maxError  = 10 * 365 * 24 * time.Hour // of a time that is given
)

// scenario is what a scenario file says.
type scenario struct {
	log  []rules.Record
	cuts []rules.SimulatedCut
}

// reader collects everything that is wrong with the file.
type reader struct {
	parts parts
	errs  []error
}

func (s *reader) problem(line int, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("line %d: "+format, append([]any{line}, args...)...))
}

func read(all parts) (*scenario, error) {
	s := &reader{parts: all}
	for i, p := range all {
		known := p.name == "events" || p.name == "cuts" || p.name == "want" || strings.HasSuffix(p.name, ".yaml")
		if !known {
			s.problem(p.line, "unknown part %q: must be rules.yaml, events, cuts or want", p.name)
		}
		if all.get(p.name).line != all[i].line {
			s.problem(p.line, "there is a part %q already", p.name)
		}
	}
	for _, name := range []string{"rules.yaml", "events", "cuts"} {
		if all.get(name).line == 0 {
			s.errs = append(s.errs, fmt.Errorf("the part -- %s -- is missing", name))
		}
	}
	if len(s.errs) > 0 {
		return nil, errors.Join(s.errs...)
	}
	events := s.readEvents(all.get("events"))
	cuts, words := s.readCuts(all.get("cuts"))
	for _, e := range events {
		if e.arrives > len(cuts) {
			s.problem(e.line, "arrives at cut %d, but there are %d", e.arrives, len(cuts))
		}
	}
	if len(s.errs) > 0 {
		return nil, errors.Join(s.errs...)
	}
	return &scenario{appendLog(events, cuts, words), cuts}, nil
}

// lines returns the words of each line that says something.
func (p part) lines(each func(line int, words []string)) {
	for i, text := range strings.Split(string(p.data), "\n") {
		if words := strings.Fields(text); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			each(p.line+1+i, words)
		}
	}
}

// event is a record that has no offset yet.
type event struct {
	rules.Record
	line    int
	arrives int
	err     time.Duration // of the clocks, on both sides
	within  time.Duration // the resolution of the stamp; 0: exact
}

func (s *reader) readEvents(p part) []event {
	var events []event
	p.lines(func(line int, words []string) {
		if len(events) == maxEvents {
			s.problem(line, "a scenario may have %d events", maxEvents)
		}
		if len(words) < 5 {
			s.problem(line, "an event is TIME SERVER TYPE WHAT PLAYER, such as: 12:00:05 eu-1 kill rabbit ash")
			return
		}
		e := event{line: line, arrives: 1}
		e.Instant = s.readTime(line, words[0])
		e.At, e.Count, e.ID = e.Instant, 1, strconv.Itoa(len(events)+1)
		var named bool
		if e.Server, e.Region, named = strings.Cut(words[1], "@"); !named {
			e.Region, _, _ = strings.Cut(e.Server, "-")
		}
		e.Node = e.Region
		e.Type = words[2]
		if what := nothing(words[3]); e.Type == rules.TypePurchase {
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
		e.Earliest = e.Instant - rules.Instant(e.err)
		e.Latest = e.Instant + rules.Instant(e.err) + rules.Instant(max(e.within-1, 0))
		e.Content = e.Digest()
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

func (e *event) readWord(s *reader, word string) error {
	if word == "backdated" {
		e.Backdated = true
		return nil
	}
	for _, sign := range []string{"±", "+-"} {
		if text, ok := strings.CutPrefix(word, sign); ok {
			var ok bool
			if e.err, ok = readSpan(text); !ok {
				return fmt.Errorf("%s must be an uncertainty such as ±5ms, at most %s", word, maxError)
			}
			return nil
		}
	}
	if n, err := strconv.ParseInt(strings.TrimPrefix(word, "x"), 10, 64); err == nil && strings.HasPrefix(word, "x") {
		e.Count = n
		return nil
	}
	name, value, ok := strings.Cut(word, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is neither a count such as x5, an uncertainty such as ±5ms, backdated, nor word=text", word)
	}
	var err error
	switch name {
	case "seq":
		e.Seq, err = strconv.ParseUint(value, 10, 64)
	case "arrives":
		if e.arrives, err = strconv.Atoi(value); err == nil && e.arrives < 1 {
			err = errors.New("the first cut is 1")
		}
	case "within":
		if e.within, ok = readSpan(value); !ok || e.within == 0 {
			err = fmt.Errorf("must be a resolution such as within=1s, at most %s", maxError)
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

// readSpan reads a duration from 0 to maxError.
func readSpan(text string) (time.Duration, bool) {
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0 && d <= maxError
}

// readTime reads a time of day on firstDay, or MM-DDTtime in its year.
func (s *reader) readTime(line int, text string) rules.Instant {
	day, clock, dated := strings.Cut(text, "T")
	if !dated {
		day, clock = firstDay, text
	}
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	i, err := rules.ParseInstant(year + day + "T" + clock + "Z")
	if err != nil {
		s.problem(line, "%q must be a time such as 12:00, 12:00:05.000040 or 06-02T12:00", text)
	}
	return i
}

// The day that a time without one is on.
const (
	year     = "2026-"
	firstDay = "06-01"
)
