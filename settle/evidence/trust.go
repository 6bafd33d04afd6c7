package evidence

import (
	"context"
	"math"

	"photofinish/rules"
)

// Known is between which instants a claim lies by any reading of the evidence: with all of
// it, and without what its contest doubts or may come to doubt. Latest is Never where by one
// of them there is no claim.
type Known struct {
	Subject          string
	Earliest, Latest rules.Instant
}

// reading is a claim as it is read.
type reading struct {
	rules.Run            // by all of the evidence
	trusted   *rules.Run // by what the contest does not doubt; nil: there is no claim by that
	doubted   bool       // the two differ in what they are read from
	unsure    bool       // what the contest doubts is not known
}

// known returns the bounds of the claim by any reading. Fewer events make a claim no
// earlier, but for what a server's order adds to the ends of others: that is at most the
// slack of the clocks.
func (x *reading) known(slack rules.Instant) Known {
	k := Known{x.Subject, x.Earliest, x.Latest}
	switch {
	case x.unsure:
		k.Earliest, k.Latest = x.Earliest-slack, rules.Never
	case x.doubted && x.trusted == nil:
		k.Latest = rules.Never
	case x.doubted:
		k.Earliest, k.Latest = min(x.Earliest, x.trusted.Earliest), max(x.Latest, x.trusted.Latest)
	}
	return k
}

func (r *Reader) known(readings []reading) []Known {
	all := make([]Known, len(readings))
	for i := range readings {
		all[i] = readings[i].known(r.slack)
	}
	return all
}

// runs returns the claims by both readings; trusted is nil where nothing is doubted.
func runs(readings []reading) (all, trusted []rules.Run) {
	doubted := false
	for i := range readings {
		x := &readings[i]
		all, doubted = append(all, x.Run), doubted || x.doubted
		if part := x.part(); part != nil {
			trusted = append(trusted, *part)
		}
	}
	if !doubted {
		return all, nil
	}
	if trusted == nil {
		trusted = []rules.Run{}
	}
	return all, trusted
}

// part returns the claim by what is not doubted; nil: there is none.
func (x *reading) part() *rules.Run {
	if x.doubted {
		return x.trusted
	}
	return &x.Run
}

// trusted returns the records of a subject that the contest does not doubt, and whether
// there are others. It asks for the cut of a backdated event, where something was given.
func (r *Reader) trusted(ctx context.Context, c rules.Contest, st *rules.Standing, subject string, records []rules.Record) (part []rules.Record, doubted bool, err error) {
	for i := range records {
		rec := &records[i]
		doubts := false
		if c.Doubts(st, subject, rec, math.MaxUint64) {
			cut, err := r.cutOf(ctx, rec.Node, rec.Offset, rec.Instant)
			if err != nil {
				return nil, false, err
			}
			doubts = c.Doubts(st, subject, rec, cut)
		}
		if doubts && !doubted {
			part, doubted = append(part, records[:i]...), true
		} else if !doubts && doubted {
			part = append(part, *rec)
		}
	}
	if !doubted {
		part = records
	}
	return part, doubted, nil
}
