package settle

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/settle/cost"
	"photofinish/settle/evidence"
	"photofinish/settle/ledger"
)

// Config configures a Settler. The zero value settles by the hour.
type Config struct {
	// Hour is the rhythm of the settlement.
	Hour hour.Config
	// Store knows whether a power cut can have taken what was written. Nil: it can have.
	Store Store
	// Each, if set, is told of every cut once it is settled.
	Each func(rules.Cut, []rules.Entry)
	// Stop is for tests: an error it returns for a step ends the run right there,
	// as a crash would.
	Stop func(Step) error
}

// Store is where the tables are.
type Store interface {
	// Intact reports whether nothing can have been lost that was acknowledged before the
	// store was started.
	Intact() bool
	// Restored says that what may have been lost is there again.
	Restored() error
}

// Step names a place between two writes of a settlement.
type Step string

// The steps, in order. What a crash leaves after each is said where it is taken.
const (
	StepRuleset Step = "ruleset kept"
	StepPropose Step = "before the cut is proposed"
	StepCut     Step = "cut recorded"
	StepTaken   Step = "slice taken in"
	StepDecided Step = "decided"
	StepAppend  Step = "entries appended"
	StepSettled Step = "cut settled"
)

// Steps lists every step.
func Steps() []Step {
	return []Step{StepRuleset, StepPropose, StepCut, StepTaken, StepDecided, StepAppend, StepSettled}
}

// Settler settles cuts. Any number of settlers may run at once, on one machine or
// several: they come to the same ledger. One Settler is not safe for concurrent use.
type Settler struct {
	ledger   *ledger.Store
	evidence *evidence.Reader
	log      *slog.Logger
	cfg      Config
	state    *state     // of the last settled cut; nil: to be read
	next     *rules.Cut // recorded after it and not settled; nil: there is none
	meter    *cost.Meter
	logged   cost.Cost // what the cuts that were logged have cost
}

// New returns a settler on tables that Migrate made. It does no I/O.
func New(conn driver.Conn, log *slog.Logger, cfg Config) (*Settler, error) {
	if err := cfg.Hour.Validate(); err != nil {
		return nil, fmt.Errorf("settle: %w", err)
	}
	metered := cost.Wrap(conn)
	store := ledger.New(metered)
	return &Settler{ledger: store, evidence: evidence.New(metered, store.CutOf), log: log, cfg: cfg, meter: metered.Meter}, nil
}

// Migrate creates the tables that a settlement owns and are not there yet. It may run
// any number of times, also from two processes at once.
func Migrate(ctx context.Context, conn driver.Conn) error {
	if err := ledger.Migrate(ctx, conn); err != nil {
		return err
	}
	return evidence.Migrate(ctx, conn)
}

// Result says what a run settled.
type Result struct {
	First   uint64 // number of the first cut that this run settled; 0 is none
	Last    uint64
	Cuts    int
	Entries int
	// Warnings are what a person should know, in words; they change nothing.
	Warnings []string
	// NewRules says that the last cut was settled by other rules than the run was given
	// and that these have not been applied to anything yet.
	NewRules bool
}

func (s *Settler) stop(step Step) error {
	if s.cfg.Stop == nil {
		return nil
	}
	return s.cfg.Stop(step)
}

// Run settles every cut that is due, in order. A cut that another run left unfinished
// is finished first, by the ruleset it names. It may be stopped at any point, and any
// number of runs may race: the next one goes on from what is recorded.
//
// The time in now and what nodes have published are read once for the whole run.
func (s *Settler) Run(ctx context.Context, set *rules.Ruleset, now hour.Now) (Result, error) {
	result, err := s.run(ctx, set, now)
	if err != nil {
		s.state = nil // it may be half of two cuts
	}
	return result, err
}

func (s *Settler) run(ctx context.Context, set *rules.Ruleset, now hour.Now) (Result, error) {
	var result Result
	if err := s.ledger.KeepRuleset(ctx, set); err != nil {
		return result, err
	}
	// A crash here leaves a ruleset that no cut names: harmless.
	if err := s.stop(StepRuleset); err != nil {
		return result, err
	}
	if err := s.load(ctx); err != nil {
		return result, err
	}
	progress, err := s.ledger.Progress(ctx, &s.state.last)
	if err != nil {
		return result, err
	}
	log := s.evidence.Log(ctx)
	for {
		plan, err := s.plan(ctx, set, now, progress, log)
		if err != nil {
			return result, err
		}
		result.warn(plan.Warnings)
		if plan.Cut == nil {
			last := &s.state.last
			result.NewRules = last.Number > 0 && last.Ruleset != set.Digest
			return result, nil
		}
		if err := s.close(ctx, plan, set, progress, &result); err != nil {
			return result, err
		}
	}
}

func (r *Result) warn(warnings []string) {
	for _, w := range warnings {
		if len(r.Warnings) == 0 || r.Warnings[len(r.Warnings)-1] != w {
			r.Warnings = append(r.Warnings, w)
		}
	}
}

// close records a cut, or learns that another settler recorded one, and settles the
// one that was recorded.
func (s *Settler) close(ctx context.Context, plan hour.Plan, set *rules.Ruleset, progress hour.Progress, result *Result) error {
	recorded := *plan.Cut
	if !plan.Resume {
		if err := s.stop(StepPropose); err != nil {
			return err
		}
		var err error
		if recorded, err = s.ledger.Propose(ctx, plan.Cut); err != nil {
			return err
		}
		if recorded.Digest() != plan.Cut.Digest() {
			s.log.InfoContext(ctx, "another settler recorded the cut", "cut", recorded.Number)
			plan.Resume = true
		}
	}
	// A crash here leaves a cut without entries: the next run finishes it first.
	if err := s.stop(StepCut); err != nil {
		return err
	}
	if set.Digest != recorded.Ruleset {
		named, err := s.ledger.Ruleset(ctx, recorded.Ruleset)
		if err != nil {
			return err
		}
		set = named
	}
	if plan.Resume {
		var err error
		if recorded, err = s.whole(ctx, recorded, progress); err != nil {
			return err
		}
		for _, l := range recorded.Losses() {
			result.warn([]string{fmt.Sprintf("cut %d is settled without offsets %d to %d of node %s: the node has published them as lost since the cut was recorded",
				recorded.Number, l.First, l.Last, l.Node)})
		}
	}
	entries, err := s.settle(ctx, &recorded, set)
	if err != nil {
		return fmt.Errorf("settle cut %d through %s: %w", recorded.Number, recorded.Through, err)
	}
	if result.First == 0 {
		result.First = recorded.Number
	}
	result.Last = recorded.Number
	result.Cuts++
	result.Entries += len(entries)
	last, total := entries[len(entries)-1].Settled, s.meter.Total()
	spent := total.Minus(s.logged) // a start and a plan included
	s.logged = total
	s.log.InfoContext(ctx, "cut settled", "cut", recorded.Number, "kind", string(recorded.Kind), "through", recorded.Through.String(),
		"events", last.Events, "late", last.Late, "entries", last.Entries, "digest", last.Digest,
		"queries", spent.Queries, "rows_read", spent.RowsRead, "bytes_read", spent.BytesRead)
	if s.cfg.Each != nil {
		s.cfg.Each(recorded, entries)
	}
	return s.stop(StepSettled)
}

// settle finishes a recorded cut: the one function for a first run, the resumption of
// a run that died and a second settler. The state is that of the cut before. On an
// error it is of no use any more.
func (s *Settler) settle(ctx context.Context, cut *rules.Cut, set *rules.Ruleset) ([]rules.Entry, error) {
	entries, err := s.decide(ctx, cut, set)
	if err != nil {
		return nil, err
	}
	// A crash here leaves the cut without entries, and with what was taken in of its
	// slice: the next run takes the same in again, which changes nothing, decides the
	// same, and appends.
	if err := s.stop(StepDecided); err != nil {
		return nil, err
	}
	if err := s.ledger.Append(ctx, cut.Number, entries); err != nil {
		return nil, err
	}
	// A crash here leaves the cut settled: the insert was one block. If its answer
	// was lost, or two settlers got here, the block stands twice and is read once.
	if err := s.stop(StepAppend); err != nil {
		return nil, err
	}
	s.state.advance(cut, entries)
	s.next = nil
	return entries, nil
}

// drawSecret returns what seeds come from, "" where no rule draws lots. A crash
// after it is made leaves a secret that nothing was committed to: the next run
// uses it.
func (s *Settler) drawSecret(ctx context.Context, set *rules.Ruleset) (string, error) {
	for i := range set.Rules {
		if set.Rules[i].Draws() {
			return s.ledger.Secret(ctx, func() (string, error) {
				b := make([]byte, 32)
				_, err := rand.Read(b)
				return hex.EncodeToString(b), err
			})
		}
	}
	return "", nil
}

// whole returns a cut that was recorded before this run's plan as it is to be settled:
// without what its nodes have published as lost since. That depends on their word alone,
// not on which rows are there. It refuses a cut of which other rows are missing: what it
// decides from must be there. A plan has looked for both before its cut is recorded.
func (s *Settler) whole(ctx context.Context, recorded rules.Cut, progress hour.Progress) (rules.Cut, error) {
	var losses []rules.Loss
	for i := range recorded.Nodes {
		l := &recorded.Nodes[i]
		if row, told := progress.Newest(l.Node); told {
			losses = append(losses, l.Losses(&s.state.last, row.Lost)...)
		}
	}
	cut := recorded.Without(losses)
	log := s.evidence.Log(ctx)
	for _, l := range cut.Nodes {
		hole, found, err := log.Hole(l.Node, s.state.last.Offset(l.Node), l.Offset, slices.Concat(l.Lost, l.Void))
		if err != nil {
			return cut, err
		}
		if found {
			return cut, fmt.Errorf("settle cut %d: %w: offsets %d to %d of node %s; start that node, or import there once more, and its spool sends them again",
				cut.Number, ErrHoles, hole.First, hole.Last, l.Node)
		}
	}
	return cut, nil
}

// ErrHoles says that rows of a recorded cut are missing in the merged log.
var ErrHoles = errors.New("rows of a recorded cut are missing in the merged log")
