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
// from there on: only an ID that was told to others shows that. A cut whose entries
// alone were taken out looks like one that is not settled yet, and settling it again
// writes the same. Of the log it does not see another estimate of the time of an event,
// or another place or word of having come late, where that decided nothing; a copy of an
// event that changed nothing and was taken out; and when a row was received.
//
// It holds log and ledger in memory: about 600 bytes an event, with its strings, and of
// each contest that is open the rows that count and the runs made of them, about 100
// bytes an event. Sorting aside, the time grows with the log, the ledger and what each
// cut touches: a contest that a cut touches is decided from the runs or scores of all
// who take part, and who was touched is counted anew from all of their events in it. So
// contests with windows cost the same however long the history is, and an open-ended
// one grows with who takes part in it. Each change of rulesets costs a pass over the log.
package verify

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// Verification says what a replay of all cuts found.
type Verification struct {
	From       uint64   `json:"from"` // the first cut that was decided again
	Cuts       int      `json:"cuts"` // in the ledger, those before From included
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
	// From is the first cut that is decided again. What the ledger says of those before
	// it is taken as true, save that it is a chain and whole; the log is read in full all
	// the same. 0 is the first.
	From uint64
	// Each, if set, is told of every cut that was replayed.
	Each func(done, all int)
}

// Run verifies. An error says that it could not read; what differs is in the
// Verification. It writes nothing.
func Run(ctx context.Context, conn driver.Conn, cfg Config) (Verification, error) {
	v := Verification{From: max(cfg.From, 1), Mismatches: []string{}}
	b, err := readBooks(ctx, conn, &v)
	if err != nil || len(b.settled) == 0 {
		return v, err
	}
	log, err := readLog(ctx, conn, &v)
	if err != nil {
		return v, err
	}
	r := newReplay(b.secret, newHistory(log, b.cuts[:len(b.settled)], &v))
	audit := newAudit()
	for i, ledger := range b.settled {
		cut := &b.cuts[i]
		if cut.Number < cfg.From {
			r.apply(cut, ledger)
		} else {
			set, err := b.ruleset(cut.Ruleset)
			if err != nil {
				v.mismatch("cut %d: %v", cut.Number, err)
				return v, nil
			}
			compare(cut.Number, r.settle(cut, set), ledger, &v)
		}
		audit.add(ledger, &v)
		v.Cuts++
		v.Entries += len(ledger)
		v.Digest, v.ID = r.digest, r.id
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
