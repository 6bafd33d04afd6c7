package rulefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"photofinish/rules"
)

// readPrize reads {item} or {by_attr, items, otherwise}.
func (c cursor) readPrize() rules.Prize {
	const be = "{item: …} or {by_attr: …, items: {…}, otherwise: …}"
	if c.node.form != formMapping {
		c.must(be)
		return rules.Prize{}
	}
	o := c.object("item", "by_attr", "items", "otherwise")
	item, one := o.get("item")
	attr, byAttr := o.get("by_attr")
	items, hasItems := o.get("items")
	_, hasOtherwise := o.get("otherwise")
	prize := rules.Prize{Otherwise: o.nameOr("otherwise", "")}
	switch {
	case one && (byAttr || hasItems || hasOtherwise):
		c.problem("must be only one of %s", be)
	case one:
	case len(o.fields) == 0:
		if len(c.node.entries) == 0 {
			c.problem("must be %s", be)
		}
	default:
		o.require("by_attr")
		o.require("items")
	}
	if one {
		prize.Item = item.name()
	}
	if byAttr {
		prize.ByAttr = attr.name()
		if name, ok := strings.CutPrefix(prize.ByAttr, "attrs."); ok {
			attr.problem("is the attribute's name alone: write %s", quote(name))
		}
	}
	if hasItems {
		prize.Items = items.readItems()
	}
	return prize
}

// readItems reads the item of each value of an attribute.
func (c cursor) readItems() map[string]string {
	entries := c.entries()
	if c.node.form == formMapping && len(c.node.entries) == 0 {
		c.problem("must not be empty")
	}
	items := make(map[string]string, len(entries))
	for _, e := range entries {
		items[e.key] = c.child(c.pathTo(e.key), e.value).name()
	}
	return items
}

// readPrizes reads the prizes of a leaderboard's places, sorted by place.
func (c cursor) readPrizes(top int) []rules.PrizeRange {
	var prizes []rules.PrizeRange
	for _, item := range c.items("prizes", maxPrizes) {
		o := item.object("places", "item")
		var p rules.PrizeRange
		if name, ok := o.require("item"); ok {
			p.Item = name.name()
		}
		places, ok := o.require("places")
		if !ok {
			continue
		}
		if p.From, p.To, ok = places.readPlaces(); !ok {
			continue
		}
		if top > 0 && p.To > top {
			places.problem("goes beyond the top %d of the leaderboard", top)
		}
		for _, other := range prizes {
			if p.From <= other.To && other.From <= p.To {
				places.problem("%s overlaps %s", placesText(p), placesText(other))
				break
			}
		}
		prizes = append(prizes, p)
	}
	slices.SortStableFunc(prizes, func(a, b rules.PrizeRange) int { return a.From - b.From })
	return prizes
}

// readPlaces reads one place or a range such as 2-10. Not ok: reported.
func (c cursor) readPlaces() (from, to int, ok bool) {
	first, last, isRange := strings.Cut(c.node.text, "-")
	if !isRange {
		last = first
	}
	from, errFrom := strconv.Atoi(first)
	to, errTo := strconv.Atoi(last)
	plain := first == strconv.Itoa(from) && last == strconv.Itoa(to)
	if c.node.form != formText || errFrom != nil || errTo != nil || !plain || from < 1 || from > to || to > maxTop {
		c.must(fmt.Sprintf("a place such as 1, or a range such as 2-10, from 1 to %d", maxTop))
		return 0, 0, false
	}
	return from, to, true
}

func placesText(p rules.PrizeRange) string {
	if p.From == p.To {
		return strconv.Itoa(p.From)
	}
	return fmt.Sprintf("%d-%d", p.From, p.To)
}

// readPrice reads {amount, currency}.
func (c cursor) readPrice() rules.Money {
	if c.node.form != formMapping {
		c.must("{amount: …, currency: …}, the amount in minor units")
		return rules.Money{}
	}
	o := c.object("amount", "currency")
	var price rules.Money
	if amount, ok := o.require("amount"); ok {
		price.Amount = amount.whole(0, maxAmount)
	}
	if currency, ok := o.require("currency"); ok {
		price.Currency = currency.node.text
		if !isCurrency(price.Currency) {
			currency.must("three to twelve capital letters such as USD or VAPOR")
		}
	}
	return price
}

// isCurrency takes the codes of ISO 4217 and those that games make for themselves.
func isCurrency(text string) bool {
	return 3 <= len(text) && len(text) <= 12 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
