package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
)

// EntryKind says which part of an Entry is set.
type EntryKind string

// The kinds of entry. Each but KindSettled sets the field of its name.
const (
	KindAward        EntryKind = "award"
	KindBoard        EntryKind = "board"
	KindPrize        EntryKind = "prize"
	KindAllocation   EntryKind = "allocation"
	KindCorrection   EntryKind = "correction"
	KindCompensation EntryKind = "compensation"
	KindCommitment   EntryKind = "commitment"
	KindConflict     EntryKind = "conflict"
	KindSettled      EntryKind = "settled" // the last entry of a cut: it is complete
)

// Entry is one fact of the ledger. Entries are only ever added. One with a Key is
// also a message: an effect on a player that is delivered once for that key.
type Entry struct {
	Cut    uint64    `json:"cut"`
	N      uint32    `json:"n"`  // place in the cut, from 0
	ID     string    `json:"id"` // "sha256:" and a digest of all the rest
	Kind   EntryKind `json:"kind"`
	Rule   string    `json:"rule,omitempty"`
	Scope  string    `json:"scope,omitempty"`
	Window Window    `json:"window"`
	Key    string    `json:"key,omitempty"` // idempotency key of the effect; empty: there is none

	Award        *Award        `json:"award,omitempty"`
	Board        *Board        `json:"board,omitempty"`
	Prize        *Grant        `json:"prize,omitempty"`
	Allocation   *Allocation   `json:"allocation,omitempty"`
	Correction   *Correction   `json:"correction,omitempty"`
	Compensation *Compensation `json:"compensation,omitempty"`
	Commitment   *Commitment   `json:"commitment,omitempty"`
	Conflict     *Conflict     `json:"conflict,omitempty"`
	Settled      *Settled      `json:"settled,omitempty"`
}

// AwardState is how sure an award is. Final is not written: an award is final for
// every cut from the first whose bound is at or after FinalAt.
type AwardState string

// The states of an award.
const (
	Held        AwardState = "held"        // earlier evidence may still come; nothing is given yet
	Provisional AwardState = "provisional" // given; later evidence may still correct it
	Final       AwardState = "final"       // nothing changes it any more
)

// Award says that a subject reached a threshold, and in which place.
type Award struct {
	Place     int        `json:"place"` // from 1; 0 of an achievement
	Claim     Claim      `json:"claim"`
	Tied      bool       `json:"tied"`
	State     AwardState `json:"state"` // Held or Provisional
	FinalAt   Instant    `json:"final_at"`
	Corrects  string     `json:"corrects,omitempty"` // the ID of the entry that this one puts right
	RunnersUp []Claim    `json:"runners_up"`         // those who came next, when this was decided
	Seed      string     `json:"seed,omitempty"`     // of a draw: the committed seed, hex
}

// Board is a leaderboard at the end of its window.
type Board struct {
	Lines    []Line  `json:"lines"`
	FinalAt  Instant `json:"final_at"`
	Corrects string  `json:"corrects,omitempty"`
}

// Grant is an item that a place on a board gives.
type Grant struct {
	Place   int    `json:"place"`
	Subject string `json:"subject"`
	Item    string `json:"item"`
}

// Allocation is what an attempt to buy got.
type Allocation struct {
	Attempt  Identity        `json:"attempt"`
	Player   string          `json:"player"`
	At       Instant         `json:"at"`
	Units    int64           `json:"units"`
	State    AllocationState `json:"state"`
	Reason   string          `json:"reason,omitempty"` // in words; empty when reserved
	Price    Money           `json:"price"`            // for one unit
	Item     string          `json:"item"`
	Stock    int64           `json:"stock"` // of the sale; 0 is unlimited
	FinalAt  Instant         `json:"final_at"`
	Corrects string          `json:"corrects,omitempty"`
	Seed     string          `json:"seed,omitempty"` // of a lottery: the committed seed, hex
}

// Correction says that an earlier entry was wrong by later evidence. With the
// policy Keep nothing else changes; otherwise the entry it names no longer stands.
type Correction struct {
	Corrects string `json:"corrects"` // the ID of the entry
	Place    int    `json:"place,omitempty"`
	Subject  string `json:"subject,omitempty"` // whom the earlier entry named
	Found    string `json:"found,omitempty"`   // who should have been named; empty: nobody
	Policy   string `json:"policy"`            // DuplicateAward, Transfer or Keep
	Reason   string `json:"reason"`            // in words
}

// Compensation is what a correction does for a subject.
type Compensation struct {
	Kind    string `json:"kind"` // DuplicateAward, Transfer or Keep
	Subject string `json:"subject"`
	Because string `json:"because"` // the ID of the entry that was wrong
	Item    string `json:"item,omitempty"`
	Takes   bool   `json:"takes,omitempty"` // the item, or the reserved unit, is taken back
}

// Commitment is the digest of a seed that decides draws of a rule and window. It
// stands in the ledger before the window closes; the seed is shown with the result.
type Commitment struct {
	Digest string `json:"digest"` // hex SHA-256 of the seed
}

// Settled ends a cut.
type Settled struct {
	Events  uint64 `json:"events"`   // new identities that the cut took in
	Late    uint64 `json:"late"`     // of these, events of a time that an earlier cut had settled
	TooLate uint64 `json:"too_late"` // of these, how many fell into a contest past correction
	Entries uint32 `json:"entries"`  // before this one
	Digest  string `json:"digest"`   // "sha256:" over their IDs, in order
}

// Seal numbers the entries of a cut, gives each its ID, and appends the one that
// ends it. The entries are in the order of the ruleset, which is total.
func Seal(cut uint64, entries []Entry, settled Settled) []Entry {
	all := sha256.New()
	for i := range entries {
		entries[i].seal(cut, i)
		hashText(all, entries[i].ID)
	}
	settled.Entries = uint32(len(entries))
	settled.Digest = "sha256:" + hex.EncodeToString(all.Sum(nil))
	last := Entry{Kind: KindSettled, Settled: &settled}
	last.seal(cut, len(entries))
	return append(entries, last)
}

func (e *Entry) seal(cut uint64, n int) {
	e.Cut, e.N, e.ID = cut, uint32(n), ""
	body, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("rules: entry %d of cut %d is not JSON: %v", n, cut, err)) // the types above cannot fail
	}
	sum := sha256.Sum256(body)
	e.ID = "sha256:" + hex.EncodeToString(sum[:])
}

// Contest is one rule in one scope and one window: what is decided together.
type Contest struct {
	Rule   *Rule
	Scope  string
	Window Window
}

// Compare orders contests of one rule by window, then scope.
func (c Contest) Compare(o Contest) int {
	return cmp.Or(cmp.Compare(c.Window.Opens, o.Window.Opens), cmp.Compare(c.Window.Closes, o.Window.Closes), cmp.Compare(c.Scope, o.Scope))
}

// OpenUntil returns the instant after which no evidence changes the contest.
func (c Contest) OpenUntil() Instant {
	if c.Window.Forever() {
		return math.MaxInt64
	}
	return c.Window.Closes.Add(c.Rule.Correct)
}

// entry begins an entry of the contest.
func (c Contest) entry(kind EntryKind) Entry {
	return Entry{Kind: kind, Rule: c.Rule.ID, Scope: c.Scope, Window: c.Window}
}

// key names an effect: what is done for whom, and for which time where a
// correction comes back to it. It never names a cut, an attempt or a run, so that
// two cuts cannot pay one award twice.
func (c Contest) key(effect, subject, item string, revision int) string {
	h := sha256.New()
	for _, s := range []string{effect, c.Rule.ID, c.Scope, subject, item} {
		hashText(h, s)
	}
	for _, n := range []uint64{uint64(c.Window.Opens), uint64(c.Window.Closes), uint64(revision)} {
		hashNumber(h, n)
	}
	return "pf-" + hex.EncodeToString(h.Sum(nil)[:20])
}
