package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds of a rule's numbers. Stock times price stays within int64.
const (
	maxThreshold = 1_000_000_000_000_000
	maxPlaces    = 1000
	maxTop       = 10_000
	maxStock     = 1_000_000_000
	maxAmount    = 1_000_000_000 // minor units
	maxPrizes    = 1000          // ranges of a leaderboard, items of by_attr
)

const defaultChargeWithin = 15 * time.Minute

// ruleField is a field of a rule and the kinds that have it; nil is every kind.
type ruleField struct {
	name  string
	kinds []Kind
}

func ruleFields() []ruleField {
	firsts, board, sale := []Kind{WorldFirst, Achievement}, []Kind{Leaderboard}, []Kind{Sale}
	return []ruleField{
		{"id", nil},
		{"kind", nil},
		{"title", nil},
		{"when", nil},
		{"subject", nil},
		{"scope", nil},
		{"measure", []Kind{WorldFirst, Achievement, Leaderboard}},
		{"threshold", firsts},
		{"places", []Kind{WorldFirst}},
		{"window", nil},
		{"tie", []Kind{WorldFirst}},
		{"hold", nil},
		{"correct", nil},
		{"on_correction", nil},
		{"prize", firsts},
		{"top", board},
		{"order", board},
		{"ranks", board},
		{"prizes", board},
		{"sku", sale},
		{"stock", sale},
		{"per_player", sale},
		{"price", sale},
		{"queue", sale},
		{"charge_within", sale},
		{"on_late_charge", sale},
		{"substitute", sale},
		{"item", sale},
	}
}

// readRule reads one rule. A kind that cannot be read leaves every field allowed and
// none required, so that one slip is not reported twice. The cursor is that of a
// usable id; its node is nil where there is none.
func readRule(c cursor) (r Rule, id cursor) {
	if c.node.form != formMapping {
		c.must("a mapping with id, kind and so on")
		return r, cursor{}
	}
	var names []string
	for _, f := range ruleFields() {
		names = append(names, f.name)
	}
	o := c.object(names...)
	if found, ok := o.require("id"); ok {
		if validID(found.node.text) {
			r.ID, id = found.node.text, found
		} else {
			found.must(fmt.Sprintf("1 to %d letters, digits and dashes", MaxRuleIDBytes))
		}
	}
	if kind, ok := o.require("kind"); ok {
		r.Kind = Kind(kind.word(string(WorldFirst), string(Achievement), string(Leaderboard), string(Sale)))
	}
	if r.Kind != "" {
		o.refuseOtherKinds(r.Kind)
	}
	r.Title = o.nameOr("title", "")
	r.Scope = o.wordOr("scope", ScopeWorld, ScopeRegion, ScopeServer)
	r.Hold, r.Correct = DefaultHold, DefaultCorrect
	if c, ok := o.get("hold"); ok {
		r.Hold = c.duration(0)
	}
	if c, ok := o.get("correct"); ok {
		r.Correct = c.duration(0)
	}
	o.readSubject(&r)
	o.readOnCorrection(&r)
	o.readWhen(&r)
	o.readMeasure(&r)
	o.readWindow(&r)
	if r.Kind == "" || r.Kind == WorldFirst || r.Kind == Achievement {
		o.readFirst(&r)
	}
	if r.Kind == "" || r.Kind == Leaderboard {
		o.readBoard(&r)
	}
	if r.Kind == "" || r.Kind == Sale {
		o.readSale(&r)
	}
	return r, id
}

// refuseOtherKinds reports and forgets the fields that the kind does not have.
func (o object) refuseOtherKinds(kind Kind) {
	for _, f := range ruleFields() {
		e, found := o.fields[f.name]
		if !found || f.kinds == nil || slices.Contains(f.kinds, kind) {
			continue
		}
		owners := make([]string, len(f.kinds))
		for i, k := range f.kinds {
			owners[i] = k.withArticle()
		}
		o.report.add(e.line, e.column, o.path, "%s belongs to %s, not to %s", f.name, either(owners), kind.withArticle())
		delete(o.fields, f.name)
	}
}

func (k Kind) withArticle() string {
	if k == Achievement {
		return "an " + string(k)
	}
	return "a " + string(k)
}

func (o object) readSubject(r *Rule) {
	r.Subject = o.wordOr("subject", SubjectPlayer, SubjectGuild)
	if c, ok := o.get("subject"); ok && r.Kind == Sale && r.Subject == SubjectGuild {
		c.problem("must be player in a sale: a purchase is one player's")
	}
}

func (o object) readOnCorrection(r *Rule) {
	if r.Kind != Sale {
		r.OnCorrection = o.wordOr("on_correction", DuplicateAward, Transfer, Keep)
		return
	}
	if c, ok := o.get("on_correction"); ok && c.node.form == formText && c.node.text == DuplicateAward {
		c.problem("must be transfer or keep in a sale: to duplicate what is limited would sell more than the stock")
		return
	}
	r.OnCorrection = o.wordOr("on_correction", Transfer, Keep)
}

// readFirst reads what world_first and achievement have. An achievement has neither
// places nor ties: whoever gets there has it.
func (o object) readFirst(r *Rule) {
	get := o.get
	if r.Kind != "" {
		get = o.require
	}
	if c, ok := get("threshold"); ok {
		r.Threshold = c.whole(1, maxThreshold)
	}
	if r.Kind != Achievement {
		r.Places = int(o.wholeOr("places", 1, maxPlaces))
		r.Tie = o.wordOr("tie", TieShare, TieEarliest, TieDraw)
	}
	if c, ok := o.get("prize"); ok {
		r.Prize = c.readPrize()
	}
}

func (o object) readBoard(r *Rule) {
	r.Top = int(o.wholeOr("top", DefaultTop, maxTop))
	r.Order = o.wordOr("order", OrderDesc, OrderAsc)
	r.Ranks = o.wordOr("ranks", RanksUnique, RanksShared)
	if c, ok := o.get("prizes"); ok {
		r.Prizes = c.readPrizes(r.Top)
	}
}

func (o object) readSale(r *Rule) {
	get := o.get
	if r.Kind != "" {
		get = o.require
	}
	if c, ok := get("sku"); ok {
		r.SKU = c.name()
	}
	if c, ok := get("price"); ok {
		r.Price = c.readPrice()
	}
	r.Stock = o.wholeOr("stock", 0, maxStock)
	r.PerPlayer = o.wholeOr("per_player", 0, maxStock)
	r.Queue = o.wordOr("queue", QueueArrival, QueueLottery)
	r.ChargeWithin = defaultChargeWithin
	if c, ok := o.get("charge_within"); ok {
		r.ChargeWithin = c.duration(time.Nanosecond)
	}
	r.OnLateCharge = o.wordOr("on_late_charge", LateRefund, LateSubstitute)
	r.Substitute = o.nameOr("substitute", "")
	r.Item = o.nameOr("item", r.SKU)
	substitute, given := o.get("substitute")
	switch {
	case r.OnLateCharge == LateSubstitute && !given:
		if late, ok := o.get("on_late_charge"); ok {
			late.problem("needs the field substitute: the item that is given instead")
		}
	case r.OnLateCharge == LateRefund && given:
		substitute.problem("is given only with on_late_charge: substitute, which is refund here")
	}
	if r.Kind == Sale {
		r.addSaleConditions()
	}
}

// addSaleConditions makes the sale's attempts the purchase events of its sku.
func (r *Rule) addSaleConditions() {
	r.When = append(r.When,
		Condition{Key: "type", AnyOf: []string{TypePurchase}},
		Condition{Key: "sku", AnyOf: []string{r.SKU}})
	slices.SortFunc(r.When, func(a, b Condition) int { return strings.Compare(a.Key, b.Key) })
}
