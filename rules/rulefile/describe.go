package rulefile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"photofinish/rules"
)

// Describe says in English sentences what the rule decides, with everything that
// the file left to a default spelled out.
func Describe(r *rules.Rule) string {
	switch r.Kind {
	case rules.WorldFirst:
		return describeFirst(r)
	case rules.Achievement:
		return fmt.Sprintf("Every %s%s to reach %s over %s, %s, %s.%s",
			r.Subject, inEach(r), goal(r), events(r), windowPhrase(r.Window), prizePhrase(r.Prize), summands(r))
	case rules.Leaderboard:
		return describeBoard(r)
	case rules.Sale:
		return describeSale(r)
	}
	return ""
}

func describeFirst(r *rules.Rule) string {
	who := "The first " + r.Subject
	if r.Places > 1 {
		who = fmt.Sprintf("The first %s %ss", thousands(int64(r.Places)), r.Subject)
	}
	prize := prizePhrase(r.Prize)
	if r.Places > 1 {
		prize = "each " + prize
	}
	return fmt.Sprintf("%s%s to reach %s over %s, %s, %s. %s%s",
		who, inEach(r), goal(r), events(r), windowPhrase(r.Window), prize, tiePhrase(r), summands(r))
}

func tiePhrase(r *rules.Rule) string {
	switch r.Tie {
	case rules.TieEarliest:
		return "Where the clocks cannot tell who was first, the likeliest earliest instant wins, then the name that sorts first."
	case rules.TieDraw:
		return "Where the clocks cannot tell who was first, a lottery decides, whose seed was sealed before."
	}
	return "Where the clocks cannot tell who was first, they share the place, and the next place follows after all of them."
}

func describeBoard(r *rules.Rule) string {
	best := "highest"
	if r.Order == rules.OrderAsc {
		best = "lowest"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Ranks the top %s %ss%s by %s over %s, %s; the %s score leads.",
		thousands(int64(r.Top)), r.Subject, inEach(r), measurePhrase(r.Measure), events(r), windowPhrase(r.Window), best)
	if r.Ranks == rules.RanksShared {
		b.WriteString(" Equal scores share a rank, and the next rank follows after all of them (1, 2, 2, 4).")
	} else {
		b.WriteString(" Of equal scores the one reached first ranks first.")
	}
	for i, p := range r.Prizes {
		if i == 0 {
			b.WriteString(" Prizes: ")
		} else {
			b.WriteString(", ")
		}
		places := "places "
		if p.From == p.To {
			places = "place "
		}
		b.WriteString(places + placesText(p) + " " + p.Item)
	}
	if len(r.Prizes) > 0 {
		b.WriteString(".")
	} else {
		b.WriteString(" There are no prizes.")
	}
	return b.String() + summands(r)
}

func describeSale(r *rules.Rule) string {
	stock := "without a limit"
	if r.Stock > 0 {
		stock = thousands(r.Stock) + " in stock" + inEach(r)
	}
	limit := "as many as they like"
	if r.PerPlayer > 0 {
		limit = "at most " + thousands(r.PerPlayer)
	}
	price := "for nothing"
	if r.Price.Amount > 0 {
		price = fmt.Sprintf("for %s %s in minor units", r.Price.Currency, thousands(r.Price.Amount))
	}
	queue := "in the order in which they asked"
	switch {
	case r.Queue == rules.QueueLottery:
		queue = "by lottery when the window has closed, one lot for each player"
	case r.Stock > 0 && r.Tie == rules.TieDraw:
		queue += "; where the clocks cannot tell, a lottery decides, whose seed was sealed before"
	case r.Stock > 0:
		queue += "; where the clocks cannot tell, by the likeliest instant, then by name"
	}
	text := fmt.Sprintf("Sells %s %s, %s, %s; one player may have %s. The attempts are %s. They are served %s. The buyer is to be given %s.",
		r.SKU, price, stock, windowPhrase(r.Window), limit, events(r), queue, r.Item)
	switch r.Buyers {
	case rules.BuyersPublic:
		text += " Everybody may read who bought."
	case rules.BuyersHidden:
		text += " Who bought is not public."
	}
	return text + " Today " + saleToday(r) + "."
}

// summands says what a sum reads, and that the rest is counted.
func summands(r *rules.Rule) string {
	if r.Measure.Kind != rules.MeasureSum {
		return ""
	}
	return fmt.Sprintf(" A sum reads whole numbers from 0 to %s, each once whatever the event's count; "+
		"anything else adds nothing, and every report counts it as refused.", thousands(rules.MaxSummand))
}

// inEach says for which scope there is a set of winners of its own.
func inEach(r *rules.Rule) string {
	switch r.Scope {
	case rules.ScopeRegion:
		return " in each region"
	case rules.ScopeServer:
		return " on each server"
	}
	return " in the world"
}

func goal(r *rules.Rule) string {
	n := thousands(r.Threshold)
	switch r.Measure.Kind {
	case rules.MeasureSum:
		return "a sum of " + r.Measure.Key + " of " + n
	case rules.MeasureDistinct:
		return n + " different values of " + r.Measure.Key
	}
	return "a count of " + n
}

func measurePhrase(m rules.Measure) string {
	switch m.Kind {
	case rules.MeasureSum:
		return "the sum of " + m.Key
	case rules.MeasureDistinct:
		return "the number of different values of " + m.Key
	}
	return "the count"
}

// events says which events count.
func events(r *rules.Rule) string {
	if len(r.When) == 0 {
		return "all events"
	}
	parts := make([]string, len(r.When))
	for i, c := range r.When {
		parts[i] = conditionPhrase(c)
	}
	return "events where " + strings.Join(parts, " and ")
}

func conditionPhrase(c rules.Condition) string {
	var parts []string
	if c.AnyOf != nil {
		parts = append(parts, "is "+either(shown(c.AnyOf)))
	}
	if c.Not != nil {
		parts = append(parts, "is not "+either(shown(c.Not)))
	}
	if c.Gte != nil {
		parts = append(parts, "is at least "+strconv.FormatFloat(*c.Gte, 'f', -1, 64))
	}
	if c.Lte != nil {
		parts = append(parts, "is at most "+strconv.FormatFloat(*c.Lte, 'f', -1, 64))
	}
	return c.Key + " " + strings.Join(parts, " and ")
}

// shown makes the empty text visible.
func shown(texts []string) []string {
	visible := slices.Clone(texts)
	for i, text := range visible {
		if text == "" {
			visible[i] = "absent"
		}
	}
	return visible
}

func windowPhrase(s rules.WindowSpec) string {
	switch {
	case s.Every != "":
		return "anew every " + string(s.Every) + " (UTC)"
	case s.Schedule != nil:
		return "anew at every instant of the schedule " + quote(s.Cron) + " (UTC)"
	case s.Fixed.Forever():
		return "at any time"
	case s.Fixed.Opens == rules.MinInstant && s.Fixed.Closes == rules.MaxInstant:
		return "at any time"
	case s.Fixed.Opens == rules.MinInstant:
		return "before " + s.Fixed.Closes.String()
	case s.Fixed.Closes == rules.MaxInstant:
		return "from " + s.Fixed.Opens.String() + " on"
	}
	return "from " + s.Fixed.Opens.String() + " up to but without " + s.Fixed.Closes.String()
}

func prizePhrase(p rules.Prize) string {
	if p.ByAttr == "" && p.Item == "" {
		return "is named, without a prize"
	}
	if p.ByAttr == "" {
		return "gets " + p.Item
	}
	var parts []string
	for _, value := range slices.Sorted(maps.Keys(p.Items)) {
		parts = append(parts, p.Items[value]+" for "+shown([]string{value})[0])
	}
	otherwise := "nothing otherwise"
	if p.Otherwise != "" {
		otherwise = p.Otherwise + " otherwise"
	}
	return "gets by attrs." + p.ByAttr + " of the deciding event: " + strings.Join(append(parts, otherwise), ", ")
}

// thousands formats as 10,000.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// spell formats a duration as 15m, 6h or 30 days.
func spell(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + " days"
	}
	text := d.String()
	if rest, ok := strings.CutSuffix(text, "m0s"); ok {
		text = rest + "m"
	}
	if rest, ok := strings.CutSuffix(text, "h0m"); ok {
		text = rest + "h"
	}
	return text
}
