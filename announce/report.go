package announce

import (
	"slices"
	"strings"

	"photofinish/rules"
)

// Report is what was decided in the cuts it covers. Its JSON is a promise to
// users: fields are only ever added. Lists are never nil.
type Report struct {
	Cut           *Cut           `json:"cut"`           // null: nothing is settled yet
	Awards        []Award        `json:"awards"`        // by rule, window, scope, place, subject
	Leaderboards  []Leaderboard  `json:"leaderboards"`  // by rule, window, scope
	Sales         []Sale         `json:"sales"`         // by rule, window, scope
	Compensations []Compensation `json:"compensations"` // as in the ledger
	// Conflicts are the first of all that there are, as in the ledger: 1000 at most, since a
	// single server can make as many as it likes, and none in the public form. ConflictsTotal
	// is how many there are.
	Conflicts      []Conflict `json:"conflicts"`
	ConflictsTotal uint64     `json:"conflicts_total"`

	Voided      uint64       `json:"voided"`
	Cost        *Cost        `json:"cost,omitempty"` // of the run that made it; in the report of a run alone
	Corrections []Correction `json:"corrections"`    // as in the ledger
	Commitments []Commitment `json:"commitments"`    // as in the ledger
	Waiting     []Waiting    `json:"waiting"`        // what waits for a person as of the last cut covered, as in the ledger

	// AwardsOmitted says what Brief left out, by rule; absent in a report that has all.
	AwardsOmitted []AwardsOmitted `json:"awards_omitted,omitempty"`

	// Rules are the IDs of the rules by which the cuts covered were settled, of one report of
	// many cuts those of the last; sorted. None where their file cannot be read any more.
	Rules []string `json:"-"`

	// Lacks are the servers of whose running numbers the merged log lacks some, as far as
	// the last cut covered reads it, by server: what they sent has not come. MoreLack is how
	// many more there are. Servers that do not number without holes are not in it.
	Lacks    []Lack `json:"lacks"`
	MoreLack uint64 `json:"more_lack,omitempty"`

	cutOf map[string]uint64      // of the entries that the report names, by ID; of others it is unknown
	rules map[string]*rules.Rule // by ID; rules whose file cannot be read any more are missing

	omitted omitted
}

// maxConflicts is how many conflicts a report has.
const maxConflicts = 1000

// Cut says what the report covers: the cuts From to Number, as of Number.
type Cut struct {
	Number   uint64        `json:"number"`
	Kind     rules.CutKind `json:"kind"`
	Through  rules.Instant `json:"through"`
	AsOf     rules.Instant `json:"as_of"`
	Complete bool          `json:"complete"` // nobody was waited for
	Effects  bool          `json:"effects"`  // what was decided is sent
	Ruleset  string        `json:"ruleset"`
	Events   uint64        `json:"events"` // taken in, of all cuts covered
	Late     uint64        `json:"late"`   // of these, of a time that an earlier cut had settled
	Lagging  []Lag         `json:"lagging"`
	Refused  []rules.Tally `json:"refused"`  // events whose amount a rule could not read, of the cut Number
	Behind   []rules.Tally `json:"behind"`   // rows that came after their node's watermark had passed them, likewise
	TooLate  uint64        `json:"too_late"` // of these, for a contest past correction
	From     uint64        `json:"from"`     // the first cut covered
}

// Lag is who had not told of everything before the cut's Through.
type Lag struct {
	Node   string        `json:"node"`
	Region string        `json:"region"` // "": every region of the node
	Server string        `json:"server"` // "": the node itself
	Since  rules.Instant `json:"since"`  // when it last spoke
	Until  rules.Instant `json:"until"`  // when nobody waits for it any more
}

// Cost is what a run's queries cost, by the server's own counters.
type Cost struct {
	Cuts      int     `json:"cuts"`
	Queries   uint64  `json:"queries"`
	RowsRead  uint64  `json:"rows_read,string"`
	BytesRead uint64  `json:"bytes_read,string"`
	Seconds   float64 `json:"seconds"`
}

// Award is a place that a subject took.
type Award struct {
	Rule          string           `json:"rule"`
	Scope         string           `json:"scope"`
	Window        rules.Window     `json:"window"`
	Place         int              `json:"place"` // from 1; 0 of an achievement
	Subject       string           `json:"subject"`
	At            rules.Instant    `json:"at"` // the stamp of the deciding event, as its server gave it
	Earliest      rules.Instant    `json:"earliest"`
	Latest        rules.Instant    `json:"latest"`
	UncertaintyNs int64            `json:"uncertainty_ns"` // half the distance of the two, rounded down
	Tied          bool             `json:"tied"`
	State         rules.AwardState `json:"state"` // final is seen from the report's cut
	Outcome       string           `json:"outcome"`
	Corrects      Text             `json:"corrects"`
	Prize         Text             `json:"prize"`
	RunnersUp     []RunnerUp       `json:"runners_up"`
	CorrectedBy   Text             `json:"corrected_by"` // the correction by a later cut
	FinalAt       rules.Instant    `json:"final_at"`
	Seed          string           `json:"seed,omitempty"`      // of a draw, hex
	Until         rules.Instant    `json:"until,omitzero"`      // of a held award: it is given then at the latest
	WaitsFor      []rules.Lag      `json:"waits_for,omitempty"` // likewise: who may still change it
	Refines       Text             `json:"refines"`             // the entry that said the same, but for the instant
	Trust         string           `json:"trust,omitempty"`     // what it rests on besides trusted events: see rules.Award

	claim rules.Claim
}

// RunnerUp is who came next when an award was decided.
type RunnerUp struct {
	Subject       string        `json:"subject"`
	At            rules.Instant `json:"at"`
	Earliest      rules.Instant `json:"earliest"`
	Latest        rules.Instant `json:"latest"`
	UncertaintyNs int64         `json:"uncertainty_ns"`

	claim rules.Claim
}

// Leaderboard is a board at the end of its window.
type Leaderboard struct {
	Rule        string           `json:"rule"`
	Scope       string           `json:"scope"`
	Window      rules.Window     `json:"window"`
	State       rules.AwardState `json:"state"` // Provisional or Final
	Outcome     string           `json:"outcome"`
	Corrects    Text             `json:"corrects"`
	Standings   []Line           `json:"standings"`
	CorrectedBy Text             `json:"corrected_by"`
	FinalAt     rules.Instant    `json:"final_at"`
	Lacking     []rules.Lag      `json:"lacking,omitempty"` // who was no longer waited for when it closed
	Refines     Text             `json:"refines"`
}

// Line is one line of a leaderboard.
type Line struct {
	Place   int           `json:"place"`
	Subject string        `json:"subject"`
	Score   rules.Amount  `json:"score"`
	Reached rules.Instant `json:"reached"`

	Earliest      rules.Instant `json:"earliest"`
	Latest        rules.Instant `json:"latest"`
	UncertaintyNs int64         `json:"uncertainty_ns"`

	Tied  bool `json:"tied"`
	Prize Text `json:"prize"`
}

// Sale is what the attempts to buy got. Of a limited sale, Sold and the attempts
// that hold a unit are as of the report's cut, whichever cut reserved them. An
// unlimited sale has no end, so there both are of the cuts that the report covers.
// Who was told no is always of the cuts covered.
type Sale struct {
	Rule            string            `json:"rule"`
	Scope           string            `json:"scope"`
	Window          rules.Window      `json:"window"`
	Stock           *int64            `json:"stock"` // nil: unlimited
	Sold            int64             `json:"sold"`  // units
	SoldOut         int               `json:"sold_out"`
	Declined        int               `json:"declined"`
	Attempts        []PurchaseAttempt `json:"attempts"` // those that hold a unit, then those that got none; each by At, then as in the ledger
	AttemptsOmitted int               `json:"attempts_omitted"`
	Item            string            `json:"item"`
	Price           *rules.Money      `json:"price"` // for one unit; nil: nothing is charged
	Seed            string            `json:"seed,omitempty"`
}

// The limits of a sale's attempts in a report. The holders of a limited sale are
// all shown: they are at most its stock.
const (
	MaxUnserved      = 1_000  // that got no unit
	MaxUnlimitedHeld = 10_000 // that hold a unit of an unlimited sale
)

// PurchaseAttempt is an attempt to buy and what it got.
type PurchaseAttempt struct {
	Player string                `json:"player"`
	At     rules.Instant         `json:"at"`
	State  rules.AllocationState `json:"state"`
	Region string                `json:"region"`
	Tied   bool                  `json:"tied"`

	Earliest      rules.Instant `json:"earliest"`
	Latest        rules.Instant `json:"latest"`
	UncertaintyNs int64         `json:"uncertainty_ns"`

	Server  string `json:"server"`
	ID      string `json:"id"`
	Units   int64  `json:"units"`
	Reason  Text   `json:"reason"`
	Outcome string `json:"outcome"`
}

// Compensation is what a correction did for a subject.
type Compensation struct {
	Kind    string       `json:"kind"`
	Rule    string       `json:"rule"`
	Scope   string       `json:"scope"`
	Subject string       `json:"subject"`
	Because string       `json:"because"` // the entry that was wrong
	Item    Text         `json:"item"`
	Takes   bool         `json:"takes"`
	Window  rules.Window `json:"window"`
	Outcome string       `json:"outcome"`
}

// Correction says that an earlier entry was wrong, and what became of it.
type Correction struct {
	Rule     string       `json:"rule"`
	Scope    string       `json:"scope"`
	Window   rules.Window `json:"window"`
	Corrects string       `json:"corrects"`
	Place    int          `json:"place"`   // 0: not of an award
	Subject  Text         `json:"subject"` // whom the earlier entry named; none of a board
	Found    Text         `json:"found"`   // who should have been named; of a board, a digest of its lines
	Gains    []string     `json:"gains"`   // who has the place now and had not
	Keeps    []string     `json:"keeps"`   // who had it and has it
	Loses    []string     `json:"loses"`   // who had it and has it no more
	Denied   []string     `json:"denied"`  // who should have it and does not get it
	Policy   string       `json:"policy"`
	Reason   string       `json:"reason"`
	Outcome  string       `json:"outcome"`
}

// Waiting is what backdated events would change in a contest, had a person said that they
// count. Nothing has moved for it, and it is not for the public.
type Waiting struct {
	Rule    string       `json:"rule"`
	Scope   string       `json:"scope"`
	Window  rules.Window `json:"window"`
	Subject Text         `json:"subject"` // of an achievement; otherwise the whole contest waits
	Changes []Change     `json:"changes"` // by place
	Reason  string       `json:"reason"`
	Outcome string       `json:"outcome"`

	FinalAt rules.Instant `json:"final_at,omitzero"` // nothing of it can be taken away from then on, and the wait is over
}

// Change is what would become of a place.
type Change struct {
	Place int      `json:"place"` // 0: of an achievement or a sale
	Gains []string `json:"gains"` // who would have it
	Keeps []string `json:"keeps"` // who has it either way, with another prize, score or attempt
	Loses []string `json:"loses"` // who has it and would not
	Item  Text     `json:"item"`  // of an achievement: the prize that would take the other's place
}

// Conflict is an identity under which two different events were sent.
type Conflict struct {
	Server string `json:"server"`
	ID     string `json:"id"`
}

// Commitment is the digest of a seed that a draw will use.
type Commitment struct {
	Rule   string       `json:"rule"`
	Scope  string       `json:"scope"`
	Window rules.Window `json:"window"`
	Place  int          `json:"place"`
	Digest string       `json:"digest"`
}

// Lack is which running numbers of a server did not come.
type Lack struct {
	Server string      `json:"server"`
	Gaps   []rules.Gap `json:"gaps"`            // the last rules.MaxGaps, by number
	Older  bool        `json:"older,omitempty"` // there are more before
}

// KindCount is how many compensations there are of a kind.
type KindCount struct {
	Kind  string
	Count int
}

// CompensationsByKind counts the compensations, by kind.
func (r *Report) CompensationsByKind() []KindCount {
	var counts []KindCount
	for _, c := range r.Compensations {
		i, found := slices.BinarySearchFunc(counts, c.Kind, func(k KindCount, kind string) int {
			return strings.Compare(k.Kind, kind)
		})
		if !found {
			counts = slices.Insert(counts, i, KindCount{Kind: c.Kind})
		}
		counts[i].Count++
	}
	return counts
}

// cutBeside returns the cut of an entry where a reader of the report would not know
// it, 0 where it is the only one that the report covers or is not known.
func (r *Report) cutBeside(outcome string) uint64 {
	if r.Cut == nil {
		return 0
	}
	if cut := r.cutOf[outcome]; cut != r.Cut.Number || r.Cut.From != r.Cut.Number {
		return cut
	}
	return 0
}

// CutOf returns the cut that an entry which the report names was decided in. It
// reports false where that is not known.
func (r *Report) CutOf(outcome string) (uint64, bool) {
	cut, ok := r.cutOf[outcome]
	return cut, ok
}

// Text is a text whose emptiness is null in JSON.
type Text string

// MarshalJSON writes null for the empty text.
func (t Text) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	return marshalText(string(t))
}

// Empty is the report of a settlement that has not settled anything.
func Empty() Report {
	return Report{
		Awards: []Award{}, Leaderboards: []Leaderboard{}, Sales: []Sale{}, Compensations: []Compensation{},
		Conflicts: []Conflict{}, Corrections: []Correction{}, Commitments: []Commitment{}, Waiting: []Waiting{}, Lacks: []Lack{},
	}
}
