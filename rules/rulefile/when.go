package rulefile

import (
	"slices"
	"strings"

	"photofinish/rules"
)

const (
	maxConditions = 100
	maxValues     = 1000 // of one condition's list
)

// conditionKeys are the keys of a condition that are not attributes.
func conditionKeys() []string {
	return []string{"type", "target", "sku", "region", "server", "guild", "player"}
}

// checkKey reports a key that no event has, at a place of the file.
func (r *reporter) checkKey(key string, line, column int, path string) bool {
	if slices.Contains(conditionKeys(), key) {
		return true
	}
	name, attr := strings.CutPrefix(key, "attrs.")
	switch {
	case attr && name != "" && len(key) <= MaxTextBytes:
		return true
	case attr:
		r.add(line, column, path, "%s does not name an attribute: write attrs.NAME", quote(key))
	default:
		hint := suggest(key, conditionKeys())
		if hint == "" && !strings.HasPrefix(strings.ToLower(key), "attr") {
			hint = "; an attribute is written " + quote("attrs."+key)
		}
		r.add(line, column, path, "unknown key %s: must be %s%s", quote(key), either(append(conditionKeys(), "attrs.NAME")), hint)
	}
	return false
}

func (o object) readWhen(r *rules.Rule) {
	c, ok := o.get("when")
	if !ok {
		return
	}
	entries := c.entries()
	if c.node.form == formMapping && len(c.node.entries) == 0 {
		c.problem("must not be empty; leave it out to count every event")
	}
	if len(entries) > maxConditions {
		c.problem("must have at most %d conditions, has %d", maxConditions, len(entries))
		return
	}
	for _, e := range entries {
		if !c.report.checkKey(e.key, e.line, e.column, c.path) {
			continue
		}
		if r.Kind == rules.Sale && (e.key == "type" || e.key == "sku") {
			c.report.add(e.line, e.column, c.pathTo(e.key), "cannot be set in a sale: its attempts are the purchase events of its sku")
			continue
		}
		r.When = append(r.When, c.child(c.pathTo(e.key), e.value).readCondition(e.key))
	}
	slices.SortFunc(r.When, func(a, b rules.Condition) int { return strings.Compare(a.Key, b.Key) })
}

// readCondition reads a text, a list of texts, or a mapping of not, gte and lte that
// must all hold.
func (c cursor) readCondition(key string) rules.Condition {
	cond := rules.Condition{Key: key}
	switch c.node.form {
	case formText, formList:
		cond.AnyOf = c.texts()
		if key == "type" && slices.Contains(cond.AnyOf, rules.TypeHeartbeat) {
			c.problem("cannot be heartbeat: heartbeats never count")
		}
		return cond
	case formNull:
		c.problem(`is empty; write "" for events that do not have it`)
		return cond
	case formMapping:
	default:
		return cond
	}
	o := c.object("not", "gte", "lte")
	if len(c.node.entries) == 0 {
		c.problem("must not be empty: say not, gte or lte")
	}
	if not, ok := o.get("not"); ok {
		cond.Not = not.texts()
	}
	if gte, ok := o.get("gte"); ok {
		cond.Gte = gte.number()
	}
	if lte, ok := o.get("lte"); ok {
		cond.Lte = lte.number()
	}
	if cond.Gte != nil && cond.Lte != nil && *cond.Gte > *cond.Lte {
		c.problem("can never hold: gte is above lte")
	}
	return cond
}

// texts reads a text or a list of different texts, sorted.
func (c cursor) texts() []string {
	if c.node.form != formList {
		text, _ := c.text()
		return []string{text}
	}
	var texts []string
	for _, item := range c.items("values", maxValues) {
		text, ok := item.text()
		if ok && slices.Contains(texts, text) {
			item.problem("%s is in the list already", quote(text))
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts
}

func (o object) readMeasure(r *rules.Rule) {
	r.Measure = rules.Measure{Kind: rules.MeasureCount}
	c, ok := o.get("measure")
	if !ok || c.node.form == formText && c.node.text == string(rules.MeasureCount) {
		return
	}
	const be = "count, {sum: KEY} or {distinct: KEY}"
	if c.node.form != formMapping {
		c.must(be)
		return
	}
	m := c.object(string(rules.MeasureSum), string(rules.MeasureDistinct))
	if len(m.fields) != 1 {
		if len(m.fields) == len(c.node.entries) { // otherwise an unknown field is reported
			c.problem("must be one of %s", be)
		}
		return
	}
	for _, kind := range []rules.MeasureKind{rules.MeasureSum, rules.MeasureDistinct} {
		key, ok := m.get(string(kind))
		if !ok {
			continue
		}
		text, ok := key.text()
		if !ok || !o.report.checkKey(text, key.node.line, key.node.column, key.path) {
			continue
		}
		if text == r.Subject && kind == rules.MeasureDistinct {
			key.problem("would always be 1: every event of a %s has the same %s", r.Subject, text)
		}
		r.Measure = rules.Measure{Kind: kind, Key: text}
	}
}
