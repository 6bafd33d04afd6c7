package ingest

import (
	"fmt"
	"testing"

	"photofinish/rules"
)

func TestSpans(t *testing.T) {
	r := newRand(3)
	for range 500 {
		in := map[uint64]bool{}
		var s spans
		for range r.IntN(6) {
			first := uint64(1 + r.IntN(30))
			last := first + uint64(r.IntN(5))
			s = s.with(rules.Span{First: first, Last: last})
			for o := first; o <= last; o++ {
				in[o] = true
			}
		}
		var offsets, others []uint64
		first, last := uint64(1+r.IntN(20)), uint64(r.IntN(40))
		for o := uint64(1); o <= 40; o++ {
			if s.has(o) != in[o] {
				t.Fatalf("%v: %d", s, o)
			}
			if in[o] {
				offsets = append(offsets, o)
			} else if first <= o && o <= last {
				others = append(others, o)
			}
		}
		if got := spansOf(offsets); fmt.Sprint(got) != fmt.Sprint(spans{}.with(s...)) || s.count() != uint64(len(offsets)) {
			t.Fatalf("%v of %v", got, s)
		}
		if got := s.between(first, last); fmt.Sprint(got) != fmt.Sprint(spansOf(others)) {
			t.Fatalf("%v without %v from %d to %d", got, s, first, last)
		}
	}
}
