package ingest

import (
	"strings"
	"unicode/utf8"

	"photofinish/rules"
)

// quickText reads the JSON that programs send, in one pass over one copy of the text
// of which every string it returns is a part. It takes only what it is sure of: no
// escapes, numbers of a few plain digits, the known names. At the first thing that is
// otherwise, bad is set, for good, and the text is left to jsonText, which alone knows
// errors. So it must never take what jsonText refuses, nor read it differently.
//
// A text that is kept keeps the whole copy: clone it.
type quickText struct {
	s   string
	at  int
	bad bool
}

// space skips what may stand between two tokens.
func (q *quickText) space() {
	if q.at < len(q.s) && q.s[q.at] > ' ' {
		return
	}
	for q.at < len(q.s) && isSpace(q.s[q.at]) {
		q.at++
	}
}

// took takes c, behind space, if it is next.
func (q *quickText) took(c byte) bool {
	q.space()
	if q.at >= len(q.s) || q.s[q.at] != c {
		return false
	}
	q.at++
	return true
}

// open begins an object and reports whether it has a first name.
func (q *quickText) open() bool {
	if !q.took('{') {
		q.bad = true
	}
	return !q.bad && !q.took('}')
}

// more reports whether another name follows the value that was just taken; else the
// object ended.
func (q *quickText) more() bool {
	if q.bad {
		return false
	}
	if q.took(',') {
		return true
	}
	q.bad = !q.took('}')
	return false
}

// name takes a name and its colon.
func (q *quickText) name() string {
	s := q.text()
	if !q.took(':') {
		q.bad = true
	}
	return s
}

// text takes a string.
func (q *quickText) text() string {
	if !q.took('"') {
		q.bad = true
		return ""
	}
	rest, ascii := q.s[q.at:], true
	for i := range len(rest) {
		switch c := rest[i]; {
		case c == '"':
			q.at += i + 1
			q.bad = q.bad || !ascii && !utf8.ValidString(rest[:i])
			return rest[:i]
		case c < ' ' || c == '\\':
			q.bad = true
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	q.bad = true
	return ""
}

// quickDigits is how many digits any uint64 or positive int64 can hold.
const quickDigits = 18

// digits takes a whole number, whether or not it is written as a string, and returns
// it also as it is written.
func (q *quickText) digits() (n uint64, text string) {
	quoted := q.took('"')
	start := q.at
	for q.at < len(q.s) && q.s[q.at]-'0' <= 9 {
		n = n*10 + uint64(q.s[q.at]-'0')
		q.at++
	}
	text = q.s[start:q.at]
	if len(text) == 0 || len(text) > quickDigits || text[0] == '0' && len(text) > 1 {
		q.bad = true
	}
	if quoted && (q.at >= len(q.s) || q.s[q.at] != '"') {
		q.bad = true
	} else if quoted {
		q.at++
	}
	return n, text
}

// word takes true or false.
func (q *quickText) word() string {
	for _, w := range [...]string{"true", "false"} {
		if strings.HasPrefix(q.s[q.at:], w) {
			q.at += len(w)
			return w
		}
	}
	q.bad = true
	return ""
}

func (q *quickText) instant() rules.Instant {
	text := q.text()
	at, ok := quickInstant(text)
	if !ok {
		var err error
		at, err = rules.ParseInstant(text)
		q.bad = q.bad || err != nil
	}
	return at
}

// seenNames holds a bit for each known name of an object.
type seenNames uint32

// once refuses a name that comes twice.
func (q *quickText) once(seen *seenNames, name seenNames) {
	q.bad = q.bad || *seen&name != 0
	*seen |= name
}

const (
	seenID seenNames = 1 << iota
	seenType
	seenAt
	seenPlayer
	seenGuild
	seenTarget
	seenSKU
	seenCount
	seenSeq
	seenPrice
	seenAttrs
	seenVersion
	seenSource
	seenSubject
	seenMedia
	seenData
)

// quickEvent is strictEvent for most of what it would take; false is no answer.
func quickEvent(text []byte) (e rules.Event, ok bool) {
	q := quickText{s: string(text)}
	e.Count = 1
	var seen seenNames
	for more := q.open(); more; more = q.more() {
		switch name := q.name(); name {
		case "id":
			q.once(&seen, seenID)
			e.ID = q.text()
		case "type":
			q.once(&seen, seenType)
			e.Type = q.text()
		case "at":
			q.once(&seen, seenAt)
			e.At = q.instant()
		default:
			q.data(&e, name, &seen)
		}
	}
	q.space()
	return e, !q.bad && q.at == len(q.s) && seen&seenAt != 0
}

// data takes the value of a name that is also one of a CloudEvent's data.
func (q *quickText) data(e *rules.Event, name string, seen *seenNames) {
	switch name {
	case "player":
		q.once(seen, seenPlayer)
		e.Player = q.text()
	case "guild":
		q.once(seen, seenGuild)
		e.Guild = q.text()
	case "target":
		q.once(seen, seenTarget)
		e.Target = q.text()
	case "sku":
		q.once(seen, seenSKU)
		e.SKU = q.text()
	case "count":
		q.once(seen, seenCount)
		n, _ := q.digits()
		e.Count = int64(n)
	case "seq":
		q.once(seen, seenSeq)
		e.Seq, _ = q.digits()
	case "price":
		q.once(seen, seenPrice)
		e.Price = q.price()
	case "attrs":
		q.once(seen, seenAttrs)
		e.Attrs = q.attrs()
	default:
		q.bad = true
	}
}

func (q *quickText) price() (m rules.Money) {
	const amount, currency seenNames = 1, 2
	var seen seenNames
	for more := q.open(); more; more = q.more() {
		switch q.name() {
		case "amount":
			q.once(&seen, amount)
			n, _ := q.digits()
			m.Amount = int64(n)
		case "currency":
			q.once(&seen, currency)
			m.Currency = q.text()
		default:
			q.bad = true
		}
	}
	return m
}

func (q *quickText) attrs() (attrs map[string]string) {
	for more := q.open(); more; more = q.more() {
		name := q.name()
		if attrs == nil {
			attrs = map[string]string{} // none is nil
		}
		before := len(attrs)
		attrs[name] = q.attr()
		q.bad = q.bad || len(attrs) == before || len(attrs) > MaxAttrs
	}
	return attrs
}

// attr takes the value of an attribute.
func (q *quickText) attr() string {
	q.space()
	if q.at == len(q.s) {
		q.bad = true
		return ""
	}
	switch c := q.s[q.at]; {
	case c == '"':
		return q.text()
	case '0' <= c && c <= '9':
		_, text := q.digits()
		return text
	}
	return q.word()
}

// quickCloudEvent is strictCloudEvent for most of what it would take; false is no
// answer.
func quickCloudEvent(text []byte, server string) (e rules.Event, ok bool) {
	q := quickText{s: string(text)}
	e.Count = 1
	var version, source string
	var seen seenNames
	for more := q.open(); more; more = q.more() {
		switch q.name() {
		case "specversion":
			q.once(&seen, seenVersion)
			version = q.text()
		case "id":
			q.once(&seen, seenID)
			e.ID = q.text()
		case "source":
			q.once(&seen, seenSource)
			source = q.text()
		case "type":
			q.once(&seen, seenType)
			e.Type = lastPart(q.text())
		case "time":
			q.once(&seen, seenAt)
			e.At = q.instant()
		case "sequence":
			q.once(&seen, seenSeq)
			e.Seq, _ = q.digits()
		case "subject":
			q.once(&seen, seenSubject)
			q.text()
		case "datacontenttype":
			q.once(&seen, seenMedia)
			q.bad = q.text() != "application/json" || q.bad
		case "data":
			q.once(&seen, seenData)
			var fields seenNames
			for more := q.open(); more; more = q.more() {
				q.data(&e, q.name(), &fields)
			}
		default:
			q.bad = true
		}
	}
	q.space()
	return e, !q.bad && q.at == len(q.s) && version == "1.0" && source == server && seen&seenAt != 0
}
