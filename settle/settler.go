package settle

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// DefaultPeriod is how much time a cut closes.
const DefaultPeriod = time.Hour

// maxPeriod is longer than any log: a hundred years.
const maxPeriod = 876000 * time.Hour

// Config configures a Settler. The zero value settles by the hour.
type Config struct {
	// Period is the time that a cut closes, aligned to 1970-01-01 UTC. 0 is
	// DefaultPeriod. One longer than the log settles it in one cut.
	Period time.Duration
	// DryRun decides and writes nothing.
	DryRun bool
	// FromScratch, with DryRun, forgets every cut and decides the whole log anew.
	FromScratch bool
	// Each, if set, is told of every cut once it is settled.
	Each func(rules.Cut, []rules.Entry)
	// Stop is for tests: an error it returns for a step ends the run right there,
	// as a crash would.
	Stop func(Step) error
}

// Step names a place between two writes of a settlement.
type Step string

// The steps, in order. What a crash leaves after each is said where it is taken.
const (
	StepRuleset  Step = "ruleset kept"
	StepPropose  Step = "before the cut is proposed"
	StepCut      Step = "cut recorded"
	StepEvidence Step = "decided"
	StepAppend   Step = "entries appended"
	StepSettled  Step = "cut settled"
)

// Steps lists every step.
func Steps() []Step {
	return []Step{StepRuleset, StepPropose, StepCut, StepEvidence, StepAppend, StepSettled}
}

// Settler settles cuts. Any number of settlers may run at once, on one machine or
// several: they come to the same ledger. One Settler is not safe for concurrent use.
type Settler struct {
	store store
	log   *slog.Logger
	cfg   Config
	state *state // of the last settled cut; nil: to be read

	replay bool // the cuts are in the ledger already
}

// New returns a settler on tables that Migrate made. It does no I/O.
func New(conn driver.Conn, log *slog.Logger, cfg Config) (*Settler, error) {
	if cfg.Period == 0 {
		cfg.Period = DefaultPeriod
	}
	if cfg.Period < time.Minute || cfg.Period > maxPeriod {
		return nil, fmt.Errorf("a settlement period of %s is not from a minute to %s", cfg.Period, maxPeriod)
	}
	if cfg.FromScratch && !cfg.DryRun {
		return nil, errors.New("settling from scratch is a dry run: the ledger cannot be written twice")
	}
	return &Settler{store: store{conn}, log: log, cfg: cfg}, nil
}

// Result says what a run settled.
type Result struct {
	First   uint64 // number of the first cut that this run settled; 0 is none
	Last    uint64
	Entries int
	// Slowest is the node whose watermark said how far to settle; zero if the caller did.
	Slowest rules.NodeCut
	// NewRules says that the last cut was settled by other rules than the run was given
	// and, if First is 0, that these have not been applied to anything yet.
	NewRules bool
}

func (s *Settler) stop(step Step) error {
	if s.cfg.Stop == nil {
		return nil
	}
	return s.cfg.Stop(step)
}

// settle finishes a recorded cut: the one function for a first run, the resumption
// of a run that died, a second settler, and, without a write, a replay.
//
// The state is that of the cut before. On an error it is of no use any more.
func (s *Settler) settle(ctx context.Context, st *state, cut rules.Cut, set *rules.Ruleset) ([]rules.Entry, error) {
	entries, err := s.decide(ctx, st, &cut, set)
	if err != nil {
		return nil, err
	}
	// A crash here leaves the cut without entries: the next run reads the same
	// cut, decides the same, and appends.
	if err := s.stop(StepEvidence); err != nil {
		return nil, err
	}
	if !s.cfg.DryRun {
		if err := s.store.appendEntries(ctx, cut.Number, entries); err != nil {
			return nil, err
		}
	}
	// A crash here leaves the cut settled: the insert was one block. If its answer
	// was lost, or two settlers got here, the block stands twice and is read once.
	if err := s.stop(StepAppend); err != nil {
		return nil, err
	}
	st.settled(cut, entries, s.cfg.DryRun && !s.replay)
	return entries, nil
}

// decide returns the sealed entries of the cut: conflicts, commitments, then what is
// decided of each contest, in the order of the ruleset.
func (s *Settler) decide(ctx context.Context, st *state, cut *rules.Cut, set *rules.Ruleset) ([]rules.Entry, error) {
	if err := st.use(ctx, s.store, set); err != nil {
		return nil, err
	}
	if err := st.seed(ctx, s.store.conn); err != nil {
		return nil, err
	}
	new, err := st.fresh(ctx, s.store.conn, cut)
	if err != nil {
		return nil, err
	}
	entries := st.findConflicts(cut)
	countRivals(&new, st.rivals, st.told(), cut, st.conflicts)
	log := &logReader{s.store.conn, cut, st.conflicts}
	closed := st.observe(new.touches)
	if new.repeats > 0 {
		if err := st.reconsider(ctx, s.store.conn, cut, new.touches); err != nil {
			return nil, err
		}
	}
	tooLate, err := log.countTooLate(ctx, st.told(), closed)
	if err != nil {
		return nil, err
	}
	secret, err := s.drawSecret(ctx, set)
	if err != nil {
		return nil, err
	}
	due := slices.DeleteFunc(st.sorted(), func(c *contest) bool {
		// Nothing is decided of a board before its window is over.
		return !c.due || c.Rule.Kind == rules.Leaderboard && c.unfinished(c.Horizon(cut, st.told()))
	})
	evidence, err := readEvidence(ctx, log, due)
	if err != nil {
		return nil, err
	}
	var decided []rules.Entry
	for i, c := range due {
		evidence[i].Seed = rules.DrawSeed(secret, c.Rule.ID, c.Window)
		decided = append(decided, c.Settle(evidence[i], &c.standing, c.Horizon(cut, st.told()))...)
	}
	entries = append(entries, rules.Commitments(set, secret, cut, decided, st.committed)...)
	return rules.Seal(cut.Number, append(entries, decided...), rules.Settled{Events: new.events, Late: new.late, TooLate: tooLate}), nil
}

// drawSecret returns what seeds come from, "" where no rule draws lots. A crash
// after it is made leaves a secret that nothing was committed to: the next run
// uses it.
func (s *Settler) drawSecret(ctx context.Context, set *rules.Ruleset) (string, error) {
	for i := range set.Rules {
		if set.Rules[i].Draws() {
			return s.store.secret(ctx, s.cfg.DryRun, func() (string, error) {
				b := make([]byte, 32)
				_, err := rand.Read(b)
				return hex.EncodeToString(b), err
			})
		}
	}
	return "", nil
}
