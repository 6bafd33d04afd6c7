package ingest

import (
	"cmp"
	"slices"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// spans is a set of offsets: ranges by their first offset, none of which touches another.
type spans []rules.Span

// with returns the set with more ranges, in any order, added.
func (s spans) with(more ...rules.Span) spans {
	all := slices.Concat(s, spans(more))
	slices.SortFunc(all, func(a, b rules.Span) int { return cmp.Compare(a.First, b.First) })
	merged := spans{}
	for _, span := range all {
		if last := len(merged) - 1; last >= 0 && span.First <= merged[last].Last+1 {
			merged[last].Last = max(merged[last].Last, span.Last)
			continue
		}
		merged = append(merged, span)
	}
	return merged
}

// has reports whether the set holds an offset.
func (s spans) has(offset uint64) bool {
	i, found := slices.BinarySearchFunc(s, offset, func(span rules.Span, o uint64) int { return cmp.Compare(span.First, o) })
	return found || i > 0 && s[i-1].Last >= offset
}

// between returns the ranges from first to last that are not in the set.
func (s spans) between(first, last uint64) spans {
	rest := spans{}
	for _, span := range s {
		if first > last || span.First > last {
			break
		}
		if span.Last < first {
			continue
		}
		if span.First > first {
			rest = append(rest, rules.Span{First: first, Last: span.First - 1})
		}
		first = span.Last + 1
	}
	if first <= last {
		rest = append(rest, rules.Span{First: first, Last: last})
	}
	return rest
}

// count returns how many offsets the set holds.
func (s spans) count() (count uint64) {
	for _, span := range s {
		count += span.Last - span.First + 1
	}
	return count
}

// fromSpool and forSpool name the same offsets in the words of the other package.
func fromSpool(list []spool.Span) []rules.Span {
	all := make([]rules.Span, len(list))
	for i, span := range list {
		all[i] = rules.Span(span)
	}
	return all
}

func forSpool(list []rules.Span) []spool.Span {
	all := make([]spool.Span, len(list))
	for i, span := range list {
		all[i] = spool.Span(span)
	}
	return all
}

// spansOf returns the set of offsets that are sorted and different.
func spansOf(offsets []uint64) spans {
	s := spans{}
	for _, o := range offsets {
		if last := len(s) - 1; last >= 0 && s[last].Last+1 == o {
			s[last].Last = o
			continue
		}
		s = append(s, rules.Span{First: o, Last: o})
	}
	return s
}
