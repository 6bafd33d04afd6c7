// Package verify decides every settled cut again and compares the outcome with the
// ledger. It shares nothing with the settler but the rules: it reads the log alone,
// neither the tables in order of arrival nor tallies, knows no shortcut, and finds
// conflicts, copies and what is new in Go.
//
// What it proves: every entry of every cut follows from the log as it is, from the
// recorded cut and the ruleset that this names; every event's content is what its
// fields say; nothing was put in, taken out or changed in cuts, rulesets and ledger,
// as long as the last cut is the last. What it cannot see is a log and a ledger that
// were changed consistently by somebody who can write both and computes all IDs anew
// from there on: only an ID that was told to others shows that. Nor does it see a
// changed estimate of the time of an event that decided nothing.
//
// It holds the log in memory, about 600 bytes an event, and of each contest the
// records that count. The work grows with the log and with what each cut touches.
package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// Verification says what a replay of all cuts found.
type Verification struct {
	Cuts       int      `json:"cuts"`
	Entries    int      `json:"entries"`
	Events     uint64   `json:"events"`     // identities in the last cut
	Digest     string   `json:"digest"`     // of the last cut's entries
	ID         string   `json:"id"`         // of the entry that ends the last cut: it stands for everything before it
	Mismatches []string `json:"mismatches"` // what differs, in words; empty is well
}

// maxMismatches bounds how many are listed: one wrong entry early makes many later.
const maxMismatches = 100

func (v *Verification) mismatch(format string, args ...any) {
	if len(v.Mismatches) < maxMismatches {
		v.Mismatches = append(v.Mismatches, fmt.Sprintf(format, args...))
	}
}

// Config says what to verify.
type Config struct {
	// From is the first cut whose entries are compared; those before it are decided
	// again all the same, since later ones rest on them. 0 is the first.
	From uint64
	// Each, if set, is told of every cut that was replayed.
	Each func(done, all int)
}

// Run verifies. An error says that it could not read; what differs is in the
// Verification. It writes nothing.
func Run(ctx context.Context, conn driver.Conn, cfg Config) (Verification, error) {
	v := Verification{Mismatches: []string{}}
	b, err := readBooks(ctx, conn, &v)
	if err != nil || len(b.settled) == 0 {
		return v, err
	}
	log, err := readLog(ctx, conn, &v)
	if err != nil {
		return v, err
	}
	r := newReplay(b.secret, log, b.cuts[:len(b.settled)])
	audit := newAudit()
	for i := range b.settled {
		cut := &b.cuts[i]
		set, err := b.ruleset(cut.Ruleset)
		if err != nil {
			v.mismatch("cut %d: %v", cut.Number, err)
			return v, nil
		}
		decided := r.settle(cut, set)
		if cut.Number >= cfg.From {
			compare(cut.Number, decided, b.settled[i], &v)
		}
		audit.add(b.settled[i], &v)
		v.Cuts++
		v.Entries += len(b.settled[i])
		end := decided[len(decided)-1]
		v.Digest, v.ID = end.Settled.Digest, end.ID
		if cfg.Each != nil {
			cfg.Each(v.Cuts, len(b.settled))
		}
	}
	v.Events = r.events()
	if v.Events != audit.events {
		v.mismatch("the cuts took in %d events, the log holds %d", audit.events, v.Events)
	}
	return v, nil
}

// compare names the first entry of a cut that is not what the evidence decides.
func compare(cut uint64, decided, ledger []rules.Entry, v *Verification) {
	for i := range max(len(decided), len(ledger)) {
		switch {
		case i >= len(ledger):
			v.mismatch("cut %d, entry %d: the evidence decides %s of rule %q for %q, and the ledger has nothing", cut, i, decided[i].Kind, decided[i].Rule, decided[i].Subject())
			return
		case i >= len(decided):
			v.mismatch("cut %d, entry %d: the ledger says %s of rule %q for %q, and the evidence decides nothing", cut, i, ledger[i].Kind, ledger[i].Rule, ledger[i].Subject())
			return
		case decided[i].ID != ledger[i].ID:
			v.mismatch("cut %d, entry %d: the evidence decides %s of rule %q for %q, %s; the ledger says %s of rule %q for %q, %s",
				cut, i, decided[i].Kind, decided[i].Rule, decided[i].Subject(), decided[i].ID, ledger[i].Kind, ledger[i].Rule, ledger[i].Subject(), ledger[i].ID)
			return
		}
	}
}

// audit adds up the ledger, to check what no single cut shows.
type audit struct {
	events uint64
	keys   map[string]string                                       // the entry of each effect
	sales  map[rules.ContestID]map[rules.Identity]rules.Allocation // that hold units
}

func newAudit() *audit {
	return &audit{keys: map[string]string{}, sales: map[rules.ContestID]map[rules.Identity]rules.Allocation{}}
}

// add takes in the entries of a cut: no effect has two keys or two effects one, and at
// the end of a cut no stock is exceeded.
func (a *audit) add(entries []rules.Entry, v *Verification) {
	touched := map[rules.ContestID]bool{}
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
			id := rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window}
			if touched[id] = true; a.sales[id] == nil {
				a.sales[id] = map[rules.Identity]rules.Allocation{}
			}
			delete(a.sales[id], e.Allocation.Attempt)
			if e.Allocation.State == rules.Reserved {
				a.sales[id][e.Allocation.Attempt] = *e.Allocation
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(touched), rules.ContestID.Compare) {
		reserved, stock := int64(0), int64(0)
		for _, attempt := range slices.SortedFunc(maps.Keys(a.sales[id]), rules.Identity.Compare) {
			held := a.sales[id][attempt]
			reserved += held.Units
			if stock = max(stock, held.Stock); held.Stock == 0 {
				stock = int64(rules.Never) // unlimited
			}
		}
		// The rule may have said more when the units were reserved than it says now.
		if reserved > stock {
			v.mismatch("rule %s, window %s: %d units are reserved of a stock of %d", id.Rule, id.Window.Opens, reserved, stock)
		}
	}
}
