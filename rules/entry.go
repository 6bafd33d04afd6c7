package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	KindWaiting      EntryKind = "waiting"
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
	Scope  Scope     `json:"scope,omitempty"`
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
	Waiting      *Waiting      `json:"waiting,omitempty"`
	Settled      *Settled      `json:"settled,omitempty"`
}

// AwardState is how sure an award is. Final is not written: an award is final as
// soon as an hour or late cut as of FinalAt or later is settled.
type AwardState string

// The states of an award.
const (
	Held        AwardState = "held"        // evidence may still come that would change it; nothing is given yet
	Provisional AwardState = "provisional" // given; later evidence may still correct it
	Final       AwardState = "final"       // nothing changes it any more
)

// Award says that a subject reached a threshold, and in which place.
type Award struct {
	Place int        `json:"place"` // from 1; 0 of an achievement
	Claim Claim      `json:"claim"`
	Tied  bool       `json:"tied"` // somebody could not be told apart from the subject when the place was given
	State AwardState `json:"state"`
	// Until is when a held award is given at the latest, and WaitsFor who may still
	// tell of something that changes it. Neither is set once it is given.
	Until    Instant `json:"until,omitzero"`
	WaitsFor []Lag   `json:"waits_for,omitempty"`
	FinalAt  Instant `json:"final_at"`
	Corrects string  `json:"corrects,omitempty"` // the ID of the entry that this one puts right
	// Refines is the ID of the entry that says the same of place and subject, and whose
	// instant is now known otherwise. Nothing is compensated for it.
	Refines   string  `json:"refines,omitempty"`
	Trust     string  `json:"trust,omitempty"` // what it rests on beside the trusted evidence
	RunnersUp []Claim `json:"runners_up"`      // those who came next, when this was decided
	Seed      string  `json:"seed,omitempty"`  // of a draw: the committed seed of the place, hex
}

// TrustBackdated says that an award rests on backdated events of its subject, which were
// doubted but gave what nobody had. An award or a board with TrustLate rests on everything
// that had come, since its rule took that so.
const TrustBackdated = "backdated"

// Board is a leaderboard at the end of its window.
type Board struct {
	Lines    []Line  `json:"lines"`
	FinalAt  Instant `json:"final_at"`
	Lacking  []Lag   `json:"lacking,omitempty"` // who was no longer waited for when it closed
	Corrects string  `json:"corrects,omitempty"`
	Refines  string  `json:"refines,omitempty"` // as of an award: places, subjects and scores are the same
	Trust    string  `json:"trust,omitempty"`   // as of an award
}

// Grant is an item that a place on a board gives.
type Grant struct {
	Place   int    `json:"place"`
	Subject string `json:"subject"`
	Item    string `json:"item"`
}

// Allocation is what a purchase attempt got.
type Allocation struct {
	Attempt  Identity        `json:"attempt"`
	Player   string          `json:"player"`
	Region   string          `json:"region"`
	At       Instant         `json:"at"` // the stamp, as the server gave it
	Seq      uint64          `json:"seq,string,omitempty"`
	Instant  Instant         `json:"instant"` // the corrected stamp, which orders what the clocks cannot tell apart
	Earliest Instant         `json:"earliest"`
	Latest   Instant         `json:"latest"`
	Units    int64           `json:"units"`
	State    AllocationState `json:"state"`
	Tied     bool            `json:"tied,omitempty"`   // nothing certain separated it from another attempt when it was served
	Reason   string          `json:"reason,omitempty"` // in words; empty when reserved
	Price    Money           `json:"price"`            // for one unit
	Item     string          `json:"item"`
	Stock    int64           `json:"stock"` // of the sale; 0 is unlimited
	FinalAt  Instant         `json:"final_at"`
	// Corrects is the ID of the entry that this one puts right.
	Corrects string `json:"corrects,omitempty"`
	Seed     string `json:"seed,omitempty"` // of a lottery: the committed seed, hex
	// Behind is set where the attempt was doubted when it was answered: it stands in the line
	// behind all who asked before that instant, the end of the cut that answered it.
	Behind Instant `json:"behind,omitempty"`
}

// Correction says that an earlier entry was wrong by later evidence. With the
// policies Keep and Withdrawn nothing is compensated; otherwise the entry it names
// no longer stands. It says what the evidence means for everybody at that place.
type Correction struct {
	Corrects string   `json:"corrects"` // the ID of the entry
	Place    int      `json:"place,omitempty"`
	Subject  string   `json:"subject,omitempty"` // whom the earlier entry named
	Found    string   `json:"found,omitempty"`   // who is named now, or should have been; empty: nobody
	Gains    []string `json:"gains,omitempty"`   // who has the place now and had not
	Keeps    []string `json:"keeps,omitempty"`   // who had it and has it
	Loses    []string `json:"loses,omitempty"`   // who had it and has it no more
	Denied   []string `json:"denied,omitempty"`  // who should have it and does not get it
	Policy   string   `json:"policy"`            // DuplicateAward, Transfer, Keep or Withdrawn
	Reason   string   `json:"reason"`            // in words
}

// Compensation is what a correction does for a subject.
type Compensation struct {
	Kind    string `json:"kind"` // DuplicateAward, Transfer or Keep
	Subject string `json:"subject"`
	Because string `json:"because"` // the ID of the entry that was wrong
	Item    string `json:"item,omitempty"`
	Takes   bool   `json:"takes,omitempty"` // the item, or the reserved unit, is taken back
}

// Commitment is the digest of each seed that decides draws of a contest, place by
// place. A seed decides only in cuts after the one that committed to it, and is
// shown with the result.
type Commitment struct {
	Digests []string `json:"digests"` // hex SHA-256 of the seed of place 1, 2, …
}

// Settled ends a cut.
type Settled struct {
	Previous string  `json:"previous"`            // ID of the settled entry of the cut before; "" of the first
	Record   string  `json:"record"`              // digest of the cut record; see Cut.Digest
	Events   uint64  `json:"events"`              // new identities that the cut took in
	Late     uint64  `json:"late"`                // of these, events of a time that an earlier cut had settled
	TooLate  uint64  `json:"too_late"`            // of these, how many fell into a contest that nothing changes any more, once for each
	Behind   []Tally `json:"behind,omitempty"`    // rows of each node that its watermark in the cut before had passed, by node
	Refused  []Tally `json:"refused,omitempty"`   // identities whose amount each rule could not read, by rule
	Lacks    []Lack  `json:"lacks,omitempty"`     // running numbers that the log lacks, by server
	MoreLack uint64  `json:"more_lack,omitempty"` // of how many more servers it lacks some
	Lost     []Loss  `json:"lost,omitempty"`      // rows within the cut that were published lost after it was recorded
	// Again says why the next cut is due at once; "" is not. It keeps Through.
	Again   Again    `json:"again,omitempty"`
	Rules   []string `json:"rules,omitempty"` // keys of the tallies that are carried forward; see Rule.TallyKey
	Entries uint32   `json:"entries"`         // before this one
	Digest  string   `json:"digest"`          // "sha256:" over their IDs, in order
}

// Again is a reason for another cut at once.
type Again string

// The reasons.
const (
	AgainDraw Again = "draw" // a draw waits for nothing but an earlier cut to stand behind its commitment
	AgainRest Again = "rest" // there was more than one cut may append
)

// Tally is a count of something by name.
type Tally struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// Loss is a range of a node's offsets.
type Loss struct {
	Node string `json:"node"`
	Span
}

// Seal numbers the entries of a cut, gives each its ID, and appends the one that
// ends it. The entries are in the order of the ruleset, which is total. Chained to
// the entry that ended the cut before, no cut can be changed, taken out or put in
// without changing every ID after it.
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
	e.Cut, e.N = cut, uint32(n)
	e.ID = e.Digest()
}

// Subject returns whom the entry names; "" is nobody, or several.
func (e *Entry) Subject() string {
	switch {
	case e.Award != nil:
		return e.Award.Claim.Subject
	case e.Prize != nil:
		return e.Prize.Subject
	case e.Allocation != nil:
		return e.Allocation.Player
	case e.Correction != nil:
		return e.Correction.Subject
	case e.Compensation != nil:
		return e.Compensation.Subject
	case e.Waiting != nil:
		return e.Waiting.Subject
	}
	return ""
}

// Digest returns what the entry's ID must be: "sha256:" and a digest of all the rest.
func (e *Entry) Digest() string {
	plain := *e
	plain.ID = ""
	body, err := json.Marshal(&plain)
	if err != nil {
		panic(fmt.Sprintf("rules: entry %d of cut %d is not JSON: %v", e.N, e.Cut, err)) // the types above cannot fail
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// key names an effect: what is done for whom, and for which time where a
// correction comes back to it. It never names a cut, an attempt to deliver or a
// run, so that two cuts cannot pay one award twice. Every part is framed by its
// length, so that no two effects share a key by where one part ends.
func (c Contest) key(effect string, parts []string, revision int) string {
	h := sha256.New()
	for _, s := range append([]string{effect, c.Rule.ID, string(c.Scope)}, parts...) {
		hashText(h, s)
	}
	for _, n := range []uint64{uint64(c.Window.Opens), uint64(c.Window.Closes), uint64(revision)} {
		hashNumber(h, n)
	}
	return "pf-" + hex.EncodeToString(h.Sum(nil)[:20])
}
