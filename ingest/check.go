package ingest

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"photofinish/rules"
)

// Limits of what an event may say. Sizes are bytes of UTF-8.
const (
	MaxNameBytes      = 128 // of a server, region or node
	MaxIDBytes        = 320 // of an event's id: a file name and a line number fit
	MaxTypeBytes      = 64
	MaxTextBytes      = 256 // of a player, guild, target or sku
	MaxAttrs          = 32  // attributes of one event
	MaxAttrNameBytes  = 64
	MaxAttrValueBytes = 1024

	MaxCount = 1_000_000_000
	// MaxPriceMinor keeps the sum of a billion purchases within an int64.
	MaxPriceMinor = 1_000_000_000

	minCurrencyLetters = 3  // as ISO 4217 has
	maxCurrencyLetters = 12 // of a game's own, such as VAPOR

	quotedBytes = 40 // of a refused value, in the error that names it
)

// FieldError says which field of an event is refused, and why.
type FieldError struct {
	Field  string // as in the JSON of an event, such as "player" or "attrs.weapon"
	Value  string // what was sent; may be hostile, so quote it
	Reason string // such as "is longer than 256 bytes"
}

// Error names field, value and reason; the value is quoted and cut short.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s %s %s", e.Field, quote(e.Value), e.Reason)
}

// Kind is the error without its value.
func (e *FieldError) Kind() string { return e.reason().String() }

// reason is what refusals are counted by.
func (e *FieldError) reason() refusal {
	if strings.HasPrefix(e.Field, "attrs.") && len(e.Field) > len("attrs.") {
		return refusal{"attribute", e.Reason} // the names are the sender's: there may be any number
	}
	return refusal{e.Field, e.Reason}
}

// quote makes any text safe to print: control characters, quotes and bytes that
// are not UTF-8 are escaped, and what is long is cut.
func quote(s string) string {
	if len(s) <= quotedBytes {
		return strconv.QuoteToGraphic(s)
	}
	cut := quotedBytes
	for cut > quotedBytes-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToGraphic(s[:cut]) + "…"
}

// period bounds the instants that are accepted: from the first, up to but without
// the second.
type period struct {
	from, to rules.Instant
	why      string // completes "at … is", for an instant at or after to
}

// anyInstant is what an import accepts.
func anyInstant() period {
	return period{rules.MinInstant, rules.MaxInstant, "outside the years 2000 to 2199"}
}

// untilSoon is what the network may send at now.
func untilSoon(now time.Time, ahead time.Duration) period {
	p := anyInstant()
	if to := rules.Instant(now.UnixNano()).Add(ahead); to < p.to {
		p.to, p.why = to, fmt.Sprintf("more than %s in the future", ahead)
	}
	return p
}

// CheckEvent returns why no node would take an event, whatever its key and its clock, as a
// *FieldError, or nil. A Count of 0 is 1.
func CheckEvent(e *rules.Event) error {
	c := *e
	c.Server, c.Region, c.Count = "any", "any", cmp.Or(c.Count, 1)
	return check(&c, c.At, anyInstant())
}

// check returns why an event cannot enter the log, as a *FieldError, or nil. The
// corrected instant must lie in the period. The server's own need not where its clock is
// known to be wrong; it is only a time that can be written.
func check(e *rules.Event, instant rules.Instant, p period) error {
	if err := checkName("server", e.Server); err != nil {
		return err
	}
	if err := checkName("region", e.Region); err != nil {
		return err
	}
	if err := checkType(e.Type); err != nil {
		return err
	}
	if err := checkAt(e.At, instant, p); err != nil {
		return err
	}
	if e.Type == rules.TypeHeartbeat {
		if err := checkText("id", e.ID, 0, MaxIDBytes); err != nil {
			return err
		}
		return checkAttrs(e.Attrs) // they are read, though not kept
	}
	if err := checkTexts(e); err != nil {
		return err
	}
	if e.Count < 1 || e.Count > MaxCount {
		return &FieldError{"count", strconv.FormatInt(e.Count, 10), "is not from 1 to " + strconv.Itoa(MaxCount)}
	}
	if err := checkPrice(e.Price); err != nil {
		return err
	}
	return checkAttrs(e.Attrs)
}

func checkTexts(e *rules.Event) error {
	if err := checkText("id", e.ID, 1, MaxIDBytes); err != nil {
		return err
	}
	minPlayer, minSKU := 0, 0
	switch e.Type {
	case rules.TypePurchase:
		minPlayer, minSKU = 1, 1
	case rules.TypeKill:
		minPlayer = 1
	}
	if err := checkText("player", e.Player, minPlayer, MaxTextBytes); err != nil {
		return err
	}
	if err := checkText("guild", e.Guild, 0, MaxTextBytes); err != nil {
		return err
	}
	if err := checkText("target", e.Target, 0, MaxTextBytes); err != nil {
		return err
	}
	return checkText("sku", e.SKU, minSKU, MaxTextBytes)
}

// checkName returns why a text cannot be the name of a server, region or node. A
// name may be any visible text, since a CloudEvents source may be a URI.
func checkName(field, name string) error { return checkText(field, name, 1, MaxNameBytes) }

func checkText(field, s string, minBytes, maxBytes int) error {
	switch {
	case len(s) < minBytes:
		return &FieldError{field, s, "is missing"}
	case len(s) > maxBytes:
		return &FieldError{field, s, fmt.Sprintf("is longer than %d bytes", maxBytes)}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] < 0x20, s[i] == 0x7f:
			return &FieldError{field, s, "has a control character"}
		case s[i] >= utf8.RuneSelf:
			return checkRunes(field, s)
		}
	}
	return nil
}

// checkRunes is checkText for what is not plain ASCII.
func checkRunes(field, s string) error {
	if !utf8.ValidString(s) {
		return &FieldError{field, s, "is not UTF-8"}
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return &FieldError{field, s, "has a control character"}
		}
	}
	return nil
}

func checkType(s string) error {
	if err := checkText("type", s, 1, MaxTypeBytes); err != nil {
		return err
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		other := '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
		if !letter && (i == 0 || !other) {
			return &FieldError{"type", s, "is not a letter followed by letters, digits, dashes, dots or underscores"}
		}
	}
	return nil
}

func checkAt(at, instant rules.Instant, p period) error {
	years := anyInstant()
	switch {
	case instant >= p.to:
		return &FieldError{"at", at.String(), "is " + p.why}
	case at < years.from || at >= years.to || instant < p.from:
		return &FieldError{"at", at.String(), "is " + years.why}
	}
	return nil
}

func checkPrice(m rules.Money) error {
	if m == (rules.Money{}) {
		return nil
	}
	if m.Amount < 0 || m.Amount > MaxPriceMinor {
		return &FieldError{"price.amount", strconv.FormatInt(m.Amount, 10), "is not from 0 to " + strconv.Itoa(MaxPriceMinor)}
	}
	ok := minCurrencyLetters <= len(m.Currency) && len(m.Currency) <= maxCurrencyLetters
	for i := range len(m.Currency) {
		ok = ok && 'A' <= m.Currency[i] && m.Currency[i] <= 'Z'
	}
	if !ok {
		return &FieldError{"price.currency", m.Currency, "is not 3 to 12 capital letters such as USD"}
	}
	return nil
}

func checkAttrs(attrs map[string]string) error {
	if len(attrs) > MaxAttrs {
		return &FieldError{"attrs", strconv.Itoa(len(attrs)), fmt.Sprintf("are more than %d", MaxAttrs)}
	}
	var first *FieldError // of the least name, so that the answer does not depend on the map's order
	for name, value := range attrs {
		err := checkText("attrs", name, 1, MaxAttrNameBytes)
		if err == nil {
			err = checkText("attrs."+name, value, 0, MaxAttrValueBytes)
		}
		if refused, ok := err.(*FieldError); ok && (first == nil || refused.Field+refused.Value < first.Field+first.Value) { //nolint:errorlint // checkText wraps nothing
			first = refused
		}
	}
	if first == nil {
		return nil
	}
	return first
}
