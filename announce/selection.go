package announce

import (
	"errors"
	"fmt"
)

// ErrNothingSettled says that no cut is settled yet, so there is nothing to report.
var ErrNothingSettled = errors.New("nothing is settled yet")

// NotSettledError says that a cut was asked for that is not settled, or not yet.
type NotSettledError struct {
	Cut  uint64 // asked for
	Last uint64 // the last settled one
}

func (e *NotSettledError) Error() string {
	return fmt.Sprintf("cut %d is not settled: the settled cuts are 1 to %d", e.Cut, e.Last)
}

// Selection says which reports are wanted. The zero Selection is Standing.
type Selection struct {
	kind     selectionKind
	from, to uint64
}

type selectionKind int

const (
	standing selectionKind = iota
	one
	latest
	all
	each
	span
)

// One selects the report of one cut, as it was decided then.
func One(cut uint64) Selection { return Selection{kind: one, from: cut, to: cut} }

// Latest selects the report of the last settled cut.
func Latest() Selection { return Selection{kind: latest} }

// All selects a report of each settled cut, in order, as they were decided then.
func All() Selection { return Selection{kind: all} }

// Each selects a report of each of the cuts from and to, both included, and those between
// them, in order, as they were decided then.
func Each(from, to uint64) Selection { return Selection{kind: each, from: from, to: to} }

// Standing selects one report of everything that stands as of the last settled cut.
func Standing() Selection { return Selection{kind: standing} }

// Range selects one report of everything decided in the cuts from and to, both
// included, and those between them, that still stands at to.
func Range(from, to uint64) Selection { return Selection{kind: span, from: from, to: to} }

// bounds are the cuts that a selection covers once the last settled one is known.
type bounds struct {
	from, to uint64
	last     uint64 // settled; corrections up to it are shown
	perCut   bool   // a report of each cut, as decided then; else one, as it stands at to
}

func (s Selection) bounds(last uint64) (bounds, error) {
	if last == 0 {
		return bounds{}, ErrNothingSettled
	}
	b := bounds{from: s.from, to: s.to, last: last}
	switch s.kind {
	case one:
		b.perCut = true
	case latest:
		b.from, b.to, b.perCut = last, last, true
	case all:
		b.from, b.to, b.perCut = 1, last, true
	case standing:
		b.from, b.to = 1, last
	case each, span:
		b.perCut = s.kind == each
		if s.from > s.to {
			return bounds{}, fmt.Errorf("report of the cuts %d to %d: the first is after the last", s.from, s.to)
		}
	}
	for _, cut := range []uint64{b.from, b.to} {
		if cut < 1 || cut > last {
			return bounds{}, &NotSettledError{Cut: cut, Last: last}
		}
	}
	return b, nil
}
