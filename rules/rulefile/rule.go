package rulefile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"photofinish/rules"
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
	kinds []rules.Kind
}

func ruleFields() []ruleField {
	firsts, board, sale := []rules.Kind{rules.WorldFirst, rules.Achievement}, []rules.Kind{rules.Leaderboard}, []rules.Kind{rules.Sale}
	return []ruleField{
		{"id", nil},
		{"kind", nil},
		{"title", nil},
		{"when", nil},
		{"subject", nil},
		{"scope", nil},
		{"measure", []rules.Kind{rules.WorldFirst, rules.Achievement, rules.Leaderboard}},
		{"threshold", firsts},
		{"places", []rules.Kind{rules.WorldFirst}},
		{"window", nil},
		{"tie", []rules.Kind{rules.WorldFirst, rules.Sale}},
		{"hold", nil},
		{"correct", nil},
		{"on_correction", nil},
		{"trust", nil},
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
		{"buyers", sale},
	}
}

// readRule reads one rule. A kind that cannot be read leaves every field allowed and
// none required, so that one slip is not reported twice. The cursor is that of a
// usable id; its node is nil where there is none.
func readRule(c cursor) (r rules.Rule, id cursor) {
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
		r.Kind = rules.Kind(kind.word(string(rules.WorldFirst), string(rules.Achievement), string(rules.Leaderboard), string(rules.Sale)))
	}
	if r.Kind != "" {
		o.refuseOtherKinds(r.Kind)
	}
	r.Title = o.nameOr("title", "")
	r.Scope = o.wordOr("scope", rules.ScopeWorld, rules.ScopeRegion, rules.ScopeServer)
	r.Hold, r.Correct = rules.DefaultHold, rules.DefaultCorrect
	if r.Kind == rules.Sale {
		r.Hold = 0 // how long a buyer waits is for the rule to choose
	}
	if c, ok := o.get("hold"); ok {
		r.Hold = c.duration(0)
	}
	if c, ok := o.get("correct"); ok {
		r.Correct = c.duration(0)
	}
	o.readSubject(&r)
	o.readOnCorrection(&r)
	r.Trust = o.wordOr("trust", rules.TrustPerson, rules.TrustLate)
	o.readWhen(&r)
	o.readMeasure(&r)
	o.readWindow(&r)
	if r.Kind == "" || r.Kind == rules.WorldFirst || r.Kind == rules.Achievement {
		o.readFirst(&r)
	}
	if r.Kind == "" || r.Kind == rules.Leaderboard {
		o.readBoard(&r)
	}
	if r.Kind == "" || r.Kind == rules.Sale {
		o.readSale(&r)
	}
	return r, id
}

// refuseOtherKinds reports and forgets the fields that the kind does not have.
func (o object) refuseOtherKinds(kind rules.Kind) {
	for _, f := range ruleFields() {
		e, found := o.fields[f.name]
		if !found || f.kinds == nil || slices.Contains(f.kinds, kind) {
			continue
		}
		owners := make([]string, len(f.kinds))
		for i, k := range f.kinds {
			owners[i] = withArticle(k)
		}
		o.report.add(e.line, e.column, o.path, "%s belongs to %s, not to %s", f.name, either(owners), withArticle(kind))
		delete(o.fields, f.name)
	}
}

func withArticle(k rules.Kind) string {
	if k == rules.Achievement {
		return "an " + string(k)
	}
	return "a " + string(k)
}

func (o object) readSubject(r *rules.Rule) {
	r.Subject = o.wordOr("subject", rules.SubjectPlayer, rules.SubjectGuild)
	if c, ok := o.get("subject"); ok && r.Kind == rules.Sale && r.Subject == rules.SubjectGuild {
		c.problem("must be player in a sale: a purchase is one player's")
	}
}

func (o object) readOnCorrection(r *rules.Rule) {
	if r.Kind != rules.Sale {
		r.OnCorrection = o.wordOr("on_correction", rules.DuplicateAward, rules.Transfer, rules.Keep)
		return
	}
	if c, ok := o.get("on_correction"); ok && c.node.form == formText && c.node.text == rules.DuplicateAward {
		c.problem("must be transfer or keep in a sale: to duplicate what is limited would sell more than the stock")
		return
	}
	r.OnCorrection = o.wordOr("on_correction", rules.Transfer, rules.Keep)
}

// readFirst reads what world_first and achievement have. An achievement has neither
// places nor ties: whoever gets there has it.
func (o object) readFirst(r *rules.Rule) {
	get := o.get
	if r.Kind != "" {
		get = o.require
	}
	if c, ok := get("threshold"); ok {
		r.Threshold = c.whole(1, maxThreshold)
	}
	if r.Kind != rules.Achievement {
		o.readPlaces(r)
	}
	if c, ok := o.get("prize"); ok {
		r.Prize = c.readPrize()
	}
}

// readPlaces reads how many places there are and who has one where nobody can tell.
func (o object) readPlaces(r *rules.Rule) {
	if r.Kind == "" {
		r.Places = int(o.wholeOr("places", 1, maxPlaces))
		return
	}
	r.Tie = o.wordOr("tie", rules.TieShare, rules.TieEarliest, rules.TieDraw)
	if c, ok := o.get("places"); ok && r.Tie == rules.TieDraw {
		if n, whole := c.integer(); whole && n > maxPlaces {
			c.problem("must be at most %d with tie: draw, is %d: each place has a seed of its own, and one entry commits to them all", maxPlaces, n)
			return
		}
	}
	r.Places = int(o.wholeOr("places", 1, maxPlaces))
}

func (o object) readBoard(r *rules.Rule) {
	r.Top = int(o.wholeOr("top", rules.DefaultTop, maxTop))
	r.Order = o.wordOr("order", rules.OrderDesc, rules.OrderAsc)
	r.Ranks = o.wordOr("ranks", rules.RanksUnique, rules.RanksShared)
	if c, ok := o.get("prizes"); ok {
		r.Prizes = c.readPrizes(r.Top)
	}
}

func (o object) readSale(r *rules.Rule) {
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
	if r.Kind == rules.Sale { // otherwise the words of a world_first may be meant
		r.Tie = o.wordOr("tie", rules.TieEarliest, rules.TieDraw)
	}
	r.Stock = o.wholeOr("stock", 0, maxStock)
	r.PerPlayer = o.wholeOr("per_player", 0, maxStock)
	r.Queue = o.wordOr("queue", rules.QueueArrival, rules.QueueLottery)
	r.ChargeWithin = defaultChargeWithin
	if c, ok := o.get("charge_within"); ok {
		r.ChargeWithin = c.duration(time.Nanosecond)
	}
	r.OnLateCharge = o.wordOr("on_late_charge", rules.LateRefund, rules.LateSubstitute)
	r.Buyers = o.wordOr("buyers", rules.BuyersInitials, rules.BuyersPublic, rules.BuyersHidden)
	r.Substitute = o.nameOr("substitute", "")
	r.Item = o.nameOr("item", r.SKU)
	substitute, given := o.get("substitute")
	switch {
	case r.OnLateCharge == rules.LateSubstitute && !given:
		if late, ok := o.get("on_late_charge"); ok {
			late.problem("needs the field substitute: the item that is given instead")
		}
	case r.OnLateCharge == rules.LateRefund && given:
		substitute.problem("is given only with on_late_charge: substitute, which is refund here")
	}
	o.checkLottery(r)
	if r.Kind == rules.Sale {
		addSaleConditions(r)
	}
}

// checkLottery refuses a lottery that would never be drawn.
func (o object) checkLottery(r *rules.Rule) {
	queue, ok := o.get("queue")
	window, given := o.get("window")
	if !ok || r.Queue != rules.QueueLottery {
		return
	}
	const must = "a lottery is drawn when its window closes, so it would never sell: "
	switch {
	case !given:
		queue.problem(must + "add a window that closes, such as {every: day} or {closes: …}, or say queue: arrival")
	case r.Window.Fixed.Closes == rules.MaxInstant:
		window.problem(must + "say closes, or queue: arrival")
	}
}

// addSaleConditions makes the sale's attempts the purchase events of its sku.
func addSaleConditions(r *rules.Rule) {
	r.When = append(r.When,
		rules.Condition{Key: "type", AnyOf: []string{rules.TypePurchase}},
		rules.Condition{Key: "sku", AnyOf: []string{r.SKU}})
	slices.SortFunc(r.When, func(a, b rules.Condition) int { return strings.Compare(a.Key, b.Key) })
}
