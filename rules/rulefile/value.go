package rulefile

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxDuration bounds hold, correct and charge_within, so that no instant runs over.
const maxDuration = 10 * 365 * 24 * time.Hour

// cursor is a value of the file, the path that leads to it, and where its problems go.
type cursor struct {
	report *reporter
	path   string
	node   *yamlNode
}

func (c cursor) problem(format string, args ...any) {
	c.report.add(c.node.line, c.node.column, c.path, format, args...)
}

// must reports that the value is not what it must be.
func (c cursor) must(be string) {
	if c.node.form != formBroken {
		c.problem("must be %s, %s", be, c.node.is())
	}
}

func (c cursor) child(path string, node *yamlNode) cursor {
	return cursor{c.report, path, node}
}

// text reads a text that may be empty. Not ok: reported.
func (c cursor) text() (string, bool) {
	if c.node.form != formText {
		c.must("a text")
		return "", false
	}
	if len(c.node.text) > MaxTextBytes {
		c.problem("must have at most %d bytes, has %d", MaxTextBytes, len(c.node.text))
		return "", false
	}
	if strings.ContainsFunc(c.node.text, unicode.IsControl) {
		c.must("one line without control characters")
		return "", false
	}
	return c.node.text, true
}

// name reads a text that may not be empty.
func (c cursor) name() string {
	text, ok := c.text()
	if ok && strings.TrimSpace(text) == "" {
		c.problem("must not be empty")
	}
	return text
}

// word reads one of the words, or reports it and returns "".
func (c cursor) word(words ...string) string {
	if c.node.form == formText && slices.Contains(words, c.node.text) {
		return c.node.text
	}
	be := either(words)
	if c.node.form != formText {
		c.must(be)
		return ""
	}
	c.problem("must be %s, %s%s", be, c.node.is(), suggest(c.node.text, words))
	return ""
}

// whole reads a whole number from low to high, or reports it and returns 0.
func (c cursor) whole(low, high int64) int64 {
	n, ok := c.integer()
	if ok && low <= n && n <= high {
		return n
	}
	if high <= maxTop || n > high {
		c.must(fmt.Sprintf("a whole number from %d to %d", low, high))
	} else {
		c.must(fmt.Sprintf("a whole number from %d", low))
	}
	return 0
}

// integer returns a whole number that is written in the one usual way.
func (c cursor) integer() (int64, bool) {
	n, err := strconv.ParseInt(c.node.text, 10, 64)
	return n, c.node.form == formText && err == nil && strconv.FormatInt(n, 10) == c.node.text
}

// number reads a decimal number, or reports it and returns nil.
func (c cursor) number() *float64 {
	n, err := strconv.ParseFloat(c.node.text, 64)
	decimal := !strings.ContainsFunc(c.node.text, func(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) })
	if c.node.form != formText || err != nil || !decimal || math.IsInf(n, 0) {
		c.must("a number such as 5 or 1.5")
		return nil
	}
	return &n
}

// duration reads a Go duration from low up, or reports it and returns 0.
func (c cursor) duration(low time.Duration) time.Duration {
	d, err := time.ParseDuration(c.node.text)
	switch {
	case c.node.form == formText && err == nil && low <= d && d <= maxDuration:
		return d
	case c.node.form == formText && err == nil:
		c.must(fmt.Sprintf("a duration from %s to %s", spell(low), spell(maxDuration)))
		return 0
	}
	if days, ok := strings.CutSuffix(c.node.text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			c.problem("must be a duration such as 72h or 15m, %s; write %dh", c.node.is(), 24*n)
			return 0
		}
	}
	c.must("a duration such as 72h or 15m")
	return 0
}

// items reads a list that has something in it, at most most. The path of each item
// counts from 1.
func (c cursor) items(what string, most int) []cursor {
	switch {
	case c.node.form != formList:
		c.must("a list of " + what)
		return nil
	case len(c.node.list) == 0:
		c.problem("must not be an empty list")
		return nil
	case len(c.node.list) > most:
		c.problem("must have at most %d %s, has %d", most, what, len(c.node.list))
		return nil
	}
	items := make([]cursor, len(c.node.list))
	for i, n := range c.node.list {
		items[i] = c.child(fmt.Sprintf("%s[%d]", c.path, i+1), n)
	}
	return items
}

// entries reads a mapping, in file order; a key that repeats is reported and left out.
func (c cursor) entries() []yamlEntry {
	if c.node.form != formMapping {
		c.must("a mapping")
		return nil
	}
	lines := map[string]int{}
	var entries []yamlEntry
	for _, e := range c.node.entries {
		if len(e.key) > MaxTextBytes || strings.ContainsFunc(e.key, unicode.IsControl) {
			c.report.add(e.line, e.column, c.path, "a key must be one line of at most %d bytes, is %s", MaxTextBytes, quote(e.key))
			continue
		}
		if line := lines[e.key]; line > 0 {
			c.report.add(e.line, e.column, c.pathTo(e.key), "is set on line %d already", line)
			continue
		}
		lines[e.key] = e.line
		entries = append(entries, e)
	}
	return entries
}

func (c cursor) pathTo(key string) string {
	if len(key) > MaxRuleIDBytes {
		key = quote(key)
	}
	if c.path == "" {
		return key
	}
	return c.path + "." + key
}

// object is a mapping whose fields have fixed names.
type object struct {
	cursor
	fields map[string]yamlEntry // looked up, never ranged over
}

// object reads a mapping, reporting every field that is not known.
func (c cursor) object(known ...string) object {
	o := object{c, map[string]yamlEntry{}}
	for _, e := range c.entries() {
		if !slices.Contains(known, e.key) {
			c.report.add(e.line, e.column, c.path, "unknown field %s%s", quote(e.key), suggest(e.key, known))
			continue
		}
		o.fields[e.key] = e
	}
	return o
}

// get returns a field and whether it is there.
func (o object) get(name string) (cursor, bool) {
	e, ok := o.fields[name]
	return o.child(o.pathTo(name), e.value), ok
}

// require is get, reporting a field that is missing.
func (o object) require(name string) (cursor, bool) {
	c, ok := o.get(name)
	if !ok && o.node.form == formMapping {
		o.report.add(o.node.line, o.node.column, c.path, "is missing")
	}
	return c, ok
}

// The rest read an optional field, with what stands for it where it is absent.

func (o object) nameOr(name, absent string) string {
	if c, ok := o.get(name); ok {
		return c.name()
	}
	return absent
}

// wordOr takes the first word for an absent field.
func (o object) wordOr(name string, words ...string) string {
	if c, ok := o.get(name); ok {
		return c.word(words...)
	}
	return words[0]
}

// wholeOr returns a whole number from 1 to high, or absent.
func (o object) wholeOr(name string, absent, high int64) int64 {
	if c, ok := o.get(name); ok {
		return c.whole(1, high)
	}
	return absent
}
