package settle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"photofinish/rules"
)

// Verification says what a replay of all cuts found.
type Verification struct {
	Cuts       int      `json:"cuts"`
	Entries    int      `json:"entries"`
	Events     uint64   `json:"events"`     // identities in the last cut, counted in the log
	Digest     string   `json:"digest"`     // of the last cut's entries
	Mismatches []string `json:"mismatches"` // what differs, in words; empty is well
}

// Verify replays every settled cut from the log, by the function that settled it
// first, and compares the entries with the ledger's byte for byte. Then it checks
// what must hold of the ledger as a whole: every event counted once, no effect
// under two keys or two effects under one, no stock exceeded. It writes nothing.
// each, if not nil, is told of every cut that was replayed.
func (s *Settler) Verify(ctx context.Context, each func(done, all int)) (Verification, error) {
	v := Verification{Mismatches: []string{}}
	last, err := s.store.lastSettled(ctx)
	if err != nil {
		return v, err
	}
	cuts, err := s.store.readCuts(ctx, 1)
	if err != nil {
		return v, err
	}
	if uint64(len(cuts)) < last {
		v.Mismatches = append(v.Mismatches, fmt.Sprintf("cut %d is settled but not recorded", last))
		return v, nil
	}
	replay := &Settler{store: s.store, log: s.log, cfg: Config{Period: s.cfg.Period, DryRun: true}, replay: true}
	st := newState()
	audit := newAudit()
	sets := map[string]*rules.Ruleset{}
	for _, cut := range cuts[:last] {
		set := sets[cut.Ruleset]
		if set == nil {
			if set, err = s.store.ruleset(ctx, cut.Ruleset); err != nil {
				return v, err
			}
			sets[cut.Ruleset] = set
		}
		decided, err := replay.settle(ctx, st, cut, set)
		if err != nil {
			return v, fmt.Errorf("replay cut %d: %w", cut.Number, err)
		}
		ledger, err := s.store.readEntries(ctx, cut.Number)
		if err != nil {
			return v, err
		}
		if err := identical(cut.Number, decided, ledger); err != nil {
			v.mismatch("%v", err) // the replay goes on from what should have been decided
		}
		audit.add(ledger, &v)
		v.Cuts++
		v.Entries += len(ledger)
		v.Digest = decided[len(decided)-1].Settled.Digest
		if each != nil {
			each(v.Cuts, int(last))
		}
	}
	return v, audit.check(ctx, s.store, st.told(), &v)
}

// maxMismatches bounds how many are listed: one wrong entry early makes many later.
const maxMismatches = 100

func (v *Verification) mismatch(format string, args ...any) {
	if len(v.Mismatches) < maxMismatches {
		v.Mismatches = append(v.Mismatches, fmt.Sprintf(format, args...))
	}
}

// audit adds up the ledger, to check what no single cut shows.
type audit struct {
	events uint64
	keys   map[string]string                                  // the entry of each effect
	sales  map[contestKey]map[rules.Identity]rules.Allocation // that hold units
}

func newAudit() *audit {
	return &audit{keys: map[string]string{}, sales: map[contestKey]map[rules.Identity]rules.Allocation{}}
}

// add takes in the entries of a cut.
func (a *audit) add(entries []rules.Entry, v *Verification) {
	for _, e := range entries {
		if e.Key != "" {
			if other, twice := a.keys[e.Key]; twice {
				v.mismatch("cut %d, entry %d: effect %s was in the ledger before, as %s", e.Cut, e.N, e.Key, other)
			}
			a.keys[e.Key] = e.ID
		}
		switch e.Kind {
		case rules.KindSettled:
			a.events += e.Settled.Events
		case rules.KindAllocation:
			key := contestKey{e.Rule, e.Scope, e.Window}
			if a.sales[key] == nil {
				a.sales[key] = map[rules.Identity]rules.Allocation{}
			}
			delete(a.sales[key], e.Allocation.Attempt)
			if e.Allocation.State == rules.Reserved {
				a.sales[key][e.Allocation.Attempt] = *e.Allocation
			}
		}
	}
	// Between the entries of one cut a unit may be on its way from one attempt to
	// another; at its end no stock is exceeded.
	for _, key := range slices.SortedFunc(maps.Keys(a.sales), contestKey.compare) {
		reserved, stock := int64(0), int64(0)
		for held := range maps.Values(a.sales[key]) {
			reserved += held.Units
			if stock = max(stock, held.Stock); held.Stock == 0 { // unlimited
				stock = math.MaxInt64
			}
		}
		// The rule may have said more when the units were reserved than it says now.
		if reserved > stock {
			v.mismatch("rule %s, window %s: %d units are reserved of a stock of %d", key.rule, key.window.Opens, reserved, stock)
		}
	}
}

// check compares the sums with the log.
func (a *audit) check(ctx context.Context, s store, last *rules.Cut, v *Verification) error {
	q := &query{}
	if err := s.conn.QueryRow(ctx, "SELECT uniqExact(server, id) FROM event_log WHERE "+q.within(last), q.args...).Scan(&v.Events); err != nil {
		return fmt.Errorf("count the events of cut %d: %w", last.Number, err)
	}
	if v.Events != a.events {
		v.mismatch("the cuts took in %d events, the log holds %d", a.events, v.Events)
	}
	return nil
}

// identical compares entries byte for byte, so that a changed body under an
// unchanged ID is found too.
func identical(cut uint64, decided, ledger []rules.Entry) error {
	if err := sameEntries(cut, decided, ledger); err != nil {
		return err
	}
	for i := range decided {
		a, errA := json.Marshal(&decided[i])
		b, errB := json.Marshal(&ledger[i])
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		if string(a) != string(b) {
			return fmt.Errorf("cut %d, entry %d: the ledger's text was changed: %s, decided %s", cut, i, b, a)
		}
	}
	return nil
}
