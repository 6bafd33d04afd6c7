package spool

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Span is the offsets from First to Last, both included. In JSON it is [first,last].
type Span struct{ First, Last uint64 }

// Count returns how many offsets the span holds.
func (s Span) Count() uint64 { return s.Last + 1 - s.First }

// MarshalJSON writes [first,last].
func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal([2]uint64{s.First, s.Last}) }

// UnmarshalJSON reads [first,last] and refuses a span that ends before it begins.
func (s *Span) UnmarshalJSON(b []byte) error {
	var pair [2]uint64
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if pair[0] == 0 || pair[1] < pair[0] {
		return fmt.Errorf("the span %d to %d is none", pair[0], pair[1])
	}
	s.First, s.Last = pair[0], pair[1]
	return nil
}

// spans are in order, do not touch each other and are not empty.
type spans []Span

// span returns the offsets from first on and before end: none, or one span.
func span(first, end uint64) spans {
	if first >= end {
		return nil
	}
	return spans{{first, end - 1}}
}

// add returns the offsets that are in l or in more, which may have any order.
func (l spans) add(more ...Span) spans {
	if len(more) == 0 {
		return l
	}
	all := slices.Concat(l, more)
	slices.SortFunc(all, func(a, b Span) int { return cmp.Compare(a.First, b.First) })
	out := all[:1]
	for _, s := range all[1:] {
		if last := &out[len(out)-1]; s.First <= last.Last+1 {
			last.Last = max(last.Last, s.Last)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// without returns the offsets of l that are not in m.
func (l spans) without(m spans) spans {
	var out spans
	for _, s := range l {
		for _, cut := range m {
			if cut.Last < s.First {
				continue
			}
			if cut.First > s.Last {
				break
			}
			out = append(out, span(s.First, cut.First)...)
			s.First = cut.Last + 1
		}
		out = append(out, span(s.First, s.Last+1)...)
	}
	return out
}

// within returns the offsets that are in l and in m.
func (l spans) within(m spans) spans { return l.without(l.without(m)) }

func (l spans) has(offset uint64) bool {
	_, found := slices.BinarySearchFunc(l, offset, func(s Span, o uint64) int {
		switch {
		case s.Last < o:
			return -1
		case s.First > o:
			return 1
		}
		return 0
	})
	return found
}
