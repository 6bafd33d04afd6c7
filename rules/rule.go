package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ruleset is a validated rules file.
type Ruleset struct {
	Digest string // "sha256:" and the hex digest of Source
	Source []byte // the file as it was read
	Rules  []Rule // in the file's order; IDs are unique
}

// Rule returns the rule of that ID, or nil.
func (s *Ruleset) Rule(id string) *Rule {
	for i := range s.Rules {
		if s.Rules[i].ID == id {
			return &s.Rules[i]
		}
	}
	return nil
}

// Kind is what a rule decides.
type Kind string

// The kinds of rule.
const (
	WorldFirst  Kind = "world_first" // the first Places subjects to reach Threshold
	Achievement Kind = "achievement" // every subject that reaches Threshold
	Leaderboard Kind = "leaderboard" // ranks of subjects per window
	Sale        Kind = "sale"        // attempts to buy, first come or by lottery, until Stock is gone
)

// The words a rule may say. They are the texts of the rules file.
const (
	SubjectPlayer = "player"
	SubjectGuild  = "guild"

	ScopeWorld  = "world"
	ScopeRegion = "region"
	ScopeServer = "server"

	TieShare    = "share"
	TieEarliest = "earliest"
	TieDraw     = "draw"

	DuplicateAward = "duplicate_award"
	Transfer       = "transfer"
	Keep           = "keep"

	// Withdrawn is no policy of a rule: it is what becomes of an award that was held,
	// so that nothing had been given.
	Withdrawn = "withdrawn"

	OrderDesc = "desc"
	OrderAsc  = "asc"

	RanksUnique = "unique"
	RanksShared = "shared"

	QueueArrival = "arrival"
	QueueLottery = "lottery"

	// Who sees who bought: nobody, their initials, or their names.
	BuyersInitials = "initials"
	BuyersPublic   = "public"
	BuyersHidden   = "hidden"

	LateRefund     = "refund"
	LateSubstitute = "substitute"

	TrustPerson = "person"
	TrustLate   = "late"
)

// Defaults of what a rules file may leave out.
const (
	DefaultHold    = 6 * time.Hour // of a sale 0
	DefaultCorrect = 30 * 24 * time.Hour
	DefaultTop     = 100
)

// Rule is one validated rule. Fields that its kind does not have are zero.
type Rule struct {
	ID      string
	Kind    Kind
	Title   string
	When    []Condition // all must hold; ordered by key
	Subject string      // SubjectPlayer or SubjectGuild
	Scope   string      // ScopeWorld, ScopeRegion or ScopeServer
	Measure Measure
	Window  WindowSpec
	Hold    time.Duration // how long after a claim to wait for lagging nodes before deciding without them
	Correct time.Duration // how long later evidence may change a decision

	OnCorrection string // DuplicateAward, Transfer or Keep; a sale: Transfer or Keep
	// Trust says what corrections come of that rest on backdated events: TrustPerson, as does
	// "", lets them wait for a person, TrustLate takes them as any late evidence.
	Trust string

	// Of world_first and achievement.
	Threshold int64
	Places    int
	Tie       string // TieShare, TieEarliest or TieDraw; a sale: TieEarliest or TieDraw
	Prize     Prize

	// Of leaderboard.
	Top    int
	Order  string
	Ranks  string
	Prizes []PrizeRange

	// Of sale.
	SKU          string
	Stock        int64 // 0: unlimited
	PerPlayer    int64 // units one player may have in a window; 0: unlimited
	Price        Money
	Queue        string
	ChargeWithin time.Duration
	OnLateCharge string
	Substitute   string
	Item         string
	Buyers       string // how buyers are named where anybody can read: BuyersInitials, BuyersPublic or BuyersHidden
}

// Condition is one line of a rule's `when`. A value satisfies it if every part
// that is set holds. An attribute that an event does not have is the empty text.
type Condition struct {
	Key   string   // type target sku region server guild player, or attrs.NAME
	AnyOf []string // nil: not asked; otherwise sorted
	Not   []string // nil: not asked; otherwise sorted
	Gte   *float64 // nil: not asked; a text that is not a number does not satisfy it
	Lte   *float64
}

// Measure is what a rule adds up.
type Measure struct {
	Kind MeasureKind
	Key  string // of sum and distinct: a key as in Condition
}

// MeasureKind is the way a measure adds up.
type MeasureKind string

// The kinds of measure.
const (
	MeasureCount    MeasureKind = "count"    // the events' counts
	MeasureSum      MeasureKind = "sum"      // a field that is a whole number from 0 to MaxSummand; anything else adds nothing
	MeasureDistinct MeasureKind = "distinct" // how many different texts a field had; the empty text does not count
)

// Prize is what a winner gets: Item, or by an attribute of the event that decided,
// the item of that value, or Otherwise. The zero Prize is none.
type Prize struct {
	Item      string
	ByAttr    string
	Items     map[string]string
	Otherwise string
}

// PrizeRange is the prize of the places From to To, both included.
type PrizeRange struct {
	From int
	To   int
	Item string
}

// For returns the item that the subject of the deciding event gets; "" is none.
func (p Prize) For(e *Event) string {
	if p.ByAttr == "" {
		return p.Item
	}
	if item, ok := p.Items[e.Attrs[p.ByAttr]]; ok {
		return item
	}
	return p.Otherwise
}

// PrizeOf returns the item of a place on a leaderboard; "" is none.
func (r *Rule) PrizeOf(place int) string {
	for _, p := range r.Prizes {
		if p.From <= place && place <= p.To {
			return p.Item
		}
	}
	return ""
}

// Field returns what an event says under a key of Condition.
func (e *Event) Field(key string) string {
	switch key {
	case "type":
		return e.Type
	case "target":
		return e.Target
	case "sku":
		return e.SKU
	case "region":
		return e.Region
	case "server":
		return e.Server
	case "guild":
		return e.Guild
	case "player":
		return e.Player
	}
	name, _ := strings.CutPrefix(key, "attrs.")
	return e.Attrs[name]
}

// Match reports whether the event counts for the rule: it satisfies every
// condition and has a subject. Heartbeats never count.
func (r *Rule) Match(e *Event) bool {
	if e.Type == TypeHeartbeat || r.SubjectOf(e) == "" {
		return false
	}
	for _, c := range r.When {
		if !c.Holds(e.Field(c.Key)) {
			return false
		}
	}
	return true
}

// Holds reports whether a value satisfies the condition.
func (c *Condition) Holds(value string) bool {
	if _, found := slices.BinarySearch(c.AnyOf, value); c.AnyOf != nil && !found {
		return false
	}
	if _, found := slices.BinarySearch(c.Not, value); found {
		return false
	}
	if c.Gte == nil && c.Lte == nil {
		return true
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(n) {
		return false
	}
	return (c.Gte == nil || n >= *c.Gte) && (c.Lte == nil || n <= *c.Lte)
}

// SubjectOf returns the player or guild that the event counts for; "" is none.
func (r *Rule) SubjectOf(e *Event) string {
	if r.Subject == SubjectGuild {
		return e.Guild
	}
	return e.Player
}

// ScopeOf returns the scope that the event counts in.
func (r *Rule) ScopeOf(e *Event) Scope {
	switch r.Scope {
	case ScopeRegion:
		return Scope(ScopeRegion + ":" + e.Region)
	case ScopeServer:
		return Scope(ScopeServer + ":" + e.Server)
	}
	return World
}

// Amount returns what the event adds to its subject's tally. Of a distinct measure
// it is 1, for the value that the caller compares. It reports false for an event of
// a sum whose field is no whole number from 0 to MaxSummand: it adds nothing, and
// reports say how often that happened.
func (r *Rule) Amount(e *Event) (Amount, bool) {
	switch r.Measure.Kind {
	case MeasureSum:
		n, ok := summand(e.Field(r.Measure.Key))
		if !ok {
			return Amount{}, false
		}
		return Whole(n), true
	case MeasureDistinct:
		if e.Field(r.Measure.Key) == "" {
			return Amount{}, true
		}
		return Whole(1), true
	}
	return Whole(e.Count), true
}

// Reads reports whether the rule may depend on a field of its events: guild, target, sku,
// price, which sales alone do, or attrs.
func (r *Rule) Reads(field string) bool {
	is := func(key string) bool { return key == field || field == "attrs" && strings.HasPrefix(key, "attrs.") }
	switch {
	case r.Kind == Sale, field == "guild" && r.Subject == SubjectGuild, field == "attrs" && r.Prize.ByAttr != "", is(r.Measure.Key):
		return true
	}
	return slices.ContainsFunc(r.When, func(c Condition) bool { return is(c.Key) })
}

// TallyKey names what a rule counts, whatever it gives for it: rules of one key add up
// alike. It is a digest of conditions, subject, scope, measure, window and threshold.
func (r *Rule) TallyKey() uint64 {
	h := sha256.New()
	for _, s := range []string{r.Subject, r.Scope, string(r.Measure.Kind), r.Measure.Key, string(r.Window.Every), r.Window.Cron} {
		hashText(h, s)
	}
	for _, n := range []int64{int64(r.Window.Fixed.Opens), int64(r.Window.Fixed.Closes), r.Threshold, int64(len(r.When))} {
		hashNumber(h, uint64(n))
	}
	for _, c := range r.When {
		hashText(h, c.Key)
		for _, list := range [][]string{c.AnyOf, c.Not} {
			hashNumber(h, uint64(len(list)))
			for _, s := range list {
				hashText(h, s)
			}
		}
		for _, bound := range []*float64{c.Gte, c.Lte} {
			hashNumber(h, uint64(len(fmt.Sprint(bound != nil))))
			if bound != nil {
				hashNumber(h, math.Float64bits(*bound))
			}
		}
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// TallyKeys returns the keys of the rules in decimal, sorted, each once.
func (s *Ruleset) TallyKeys() []string {
	var keys []string
	for i := range s.Rules {
		keys = append(keys, strconv.FormatUint(s.Rules[i].TallyKey(), 10))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// MaxSummand is the largest number that one event adds to a sum.
const MaxSummand = 1_000_000_000_000_000

// summand reads decimal digits and nothing else. Zeros in front are read.
func summand(text string) (int64, bool) {
	digits := strings.TrimLeft(text, "0")
	if text == "" || len(digits) > 16 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, _ := strconv.ParseInt("0"+digits, 10, 64) // at most 17 digits
	return n, n <= MaxSummand
}
