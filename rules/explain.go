package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Describe says in English sentences what the rule decides, with everything that
// the file left to a default spelled out.
func (r *Rule) Describe() string {
	switch r.Kind {
	case WorldFirst:
		return r.describeFirst()
	case Achievement:
		return fmt.Sprintf("Every %s%s to reach %s over %s, %s, %s.",
			r.Subject, r.inEach(), r.goal(), r.events(), r.Window.phrase(), r.Prize.phrase())
	case Leaderboard:
		return r.describeBoard()
	case Sale:
		return r.describeSale()
	}
	return ""
}

func (r *Rule) describeFirst() string {
	who := "The first " + r.Subject
	if r.Places > 1 {
		who = fmt.Sprintf("The first %s %ss", thousands(int64(r.Places)), r.Subject)
	}
	prize := r.Prize.phrase()
	if r.Places > 1 {
		prize = "each " + prize
	}
	return fmt.Sprintf("%s%s to reach %s over %s, %s, %s. %s",
		who, r.inEach(), r.goal(), r.events(), r.Window.phrase(), prize, r.tiePhrase())
}

func (r *Rule) tiePhrase() string {
	switch r.Tie {
	case TieEarliest:
		return "Where the clocks cannot tell who was first, the likeliest earliest instant wins, then the name that sorts first."
	case TieDraw:
		return "Where the clocks cannot tell who was first, a lottery decides, whose seed was sealed before."
	}
	return "Where the clocks cannot tell who was first, they share the place, and the next place follows after all of them."
}

func (r *Rule) describeBoard() string {
	best := "highest"
	if r.Order == OrderAsc {
		best = "lowest"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Ranks the top %s %ss%s by %s over %s, %s; the %s score leads.",
		thousands(int64(r.Top)), r.Subject, r.inEach(), r.Measure.phrase(), r.events(), r.Window.phrase(), best)
	if r.Ranks == RanksShared {
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
	return b.String()
}

func (r *Rule) describeSale() string {
	stock := "without a limit"
	if r.Stock > 0 {
		stock = thousands(r.Stock) + " in stock" + r.inEach()
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
	if r.Queue == QueueLottery {
		queue = "by lottery"
	}
	text := fmt.Sprintf("Sells %s %s, %s, %s; one player may have %s. The attempts are %s. They are served %s; the buyer is given %s.",
		r.SKU, price, stock, r.Window.phrase(), limit, r.events(), queue, r.Item)
	if r.Price.Amount == 0 {
		return text
	}
	text += fmt.Sprintf(" A charge that takes over %s passes the place on", spell(r.ChargeWithin))
	if r.OnLateCharge == LateSubstitute {
		return text + ", and if it succeeds after all the buyer is given " + r.Substitute + "."
	}
	return text + ", and if it succeeds after all it is refunded."
}

// inEach says for which scope there is a set of winners of its own.
func (r *Rule) inEach() string {
	switch r.Scope {
	case ScopeRegion:
		return " in each region"
	case ScopeServer:
		return " on each server"
	}
	return " in the world"
}

func (r *Rule) goal() string {
	n := thousands(r.Threshold)
	switch r.Measure.Kind {
	case MeasureSum:
		return "a sum of " + r.Measure.Key + " of " + n
	case MeasureDistinct:
		return n + " different values of " + r.Measure.Key
	}
	return "a count of " + n
}

func (m Measure) phrase() string {
	switch m.Kind {
	case MeasureSum:
		return "the sum of " + m.Key
	case MeasureDistinct:
		return "the number of different values of " + m.Key
	}
	return "the count"
}

// events says which events count.
func (r *Rule) events() string {
	if len(r.When) == 0 {
		return "all events"
	}
	parts := make([]string, len(r.When))
	for i, c := range r.When {
		parts[i] = c.phrase()
	}
	return "events where " + strings.Join(parts, " and ")
}

func (c Condition) phrase() string {
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

func (s WindowSpec) phrase() string {
	switch {
	case s.Every != "":
		return "anew every " + string(s.Every) + " (UTC)"
	case s.Schedule != nil:
		return "anew at every instant of the schedule " + quote(s.Cron) + " (UTC)"
	case s.Fixed.Forever():
		return "at any time"
	case s.Fixed.Opens == MinInstant && s.Fixed.Closes == MaxInstant:
		return "at any time"
	case s.Fixed.Opens == MinInstant:
		return "before " + s.Fixed.Closes.String()
	case s.Fixed.Closes == MaxInstant:
		return "from " + s.Fixed.Opens.String() + " on"
	}
	return "from " + s.Fixed.Opens.String() + " up to but without " + s.Fixed.Closes.String()
}

func (p Prize) phrase() string {
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
