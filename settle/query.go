package settle

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

// query collects the texts of one statement as server-side parameters. They never
// become part of the SQL; what does is written in this package, or a number.
type query struct {
	args []any
}

func (q *query) param(kind string, value any) string {
	name := fmt.Sprintf("p%d", len(q.args))
	q.args = append(q.args, clickhouse.Named(name, value))
	return "{" + name + ":" + kind + "}"
}

func (q *query) text(s string) string           { return q.param("String", s) }
func (q *query) texts(s []string) string        { return q.param("Array(String)", s) }
func (q *query) uint(n uint64) string           { return strconv.FormatUint(n, 10) }
func (q *query) instant(i rules.Instant) string { return strconv.FormatInt(int64(i), 10) }

// column returns the SQL of a condition's key.
func (q *query) column(key string) string {
	switch key {
	case "type", "target", "sku", "region", "server", "guild", "player":
		return key
	}
	return "attrs[" + q.text(strings.TrimPrefix(key, "attrs.")) + "]"
}

// within is the condition that a row is in the cut.
func (q *query) within(cut *rules.Cut) string {
	return "(instant_ns < " + q.instant(cut.Through) + " AND " + q.offsets(cut) + ")"
}

// offsets is the condition that a row is within the cut's offsets, of whatever time.
func (q *query) offsets(cut *rules.Cut) string {
	nodes := []string{"0"}
	for _, n := range cut.Nodes {
		if n.Offset > 0 {
			nodes = append(nodes, "node = "+q.text(n.Node)+" AND offset <= "+q.uint(n.Offset))
		}
	}
	return "(" + strings.Join(nodes, " OR ") + ")"
}

// slice is the condition that an event is in the cut and was not in the one told
// before it. Where no node went on, time alone says so, which reads less.
func (q *query) slice(told, cut *rules.Cut) string {
	if told.Number == 0 {
		return q.within(cut)
	}
	if !grown(told, cut) {
		return q.within(cut) + " AND instant_ns >= " + q.instant(told.Through)
	}
	return q.within(cut) + " AND NOT " + q.within(told)
}

// grown reports whether the cut reads further into any node than told did.
func grown(told, cut *rules.Cut) bool {
	for _, n := range cut.Nodes {
		if n.Offset > told.Offset(n.Node) {
			return true
		}
	}
	return false
}

// matches is a condition that holds of every event whose content counts for the
// rule, and perhaps of some that do not: rules.Rule.Match has the last word. All
// copies of an event satisfy it, or none.
func (q *query) matches(r *rules.Rule) string {
	all := []string{"type != 'heartbeat'", r.Subject + " != ''"}
	for _, c := range r.When {
		column := q.column(c.Key)
		if len(c.AnyOf) == 1 {
			all = append(all, column+" = "+q.text(c.AnyOf[0]))
		} else if c.AnyOf != nil {
			all = append(all, column+" IN "+q.texts(c.AnyOf))
		}
		if c.Not != nil {
			all = append(all, column+" NOT IN "+q.texts(c.Not))
		}
		if c.Gte != nil || c.Lte != nil {
			all = append(all, column+" != ''") // the number is read exactly by rules
		}
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

// during is the condition that an event counts in the window.
func (q *query) during(w rules.Window) string {
	if w.Forever() {
		return "1"
	}
	return "(instant_ns >= " + q.instant(w.Opens) + " AND instant_ns < " + q.instant(w.Closes) + ")"
}

// inScope is the condition that an event counts in the contest's scope.
func (q *query) inScope(c rules.Contest) string {
	kind, name, named := strings.Cut(c.Scope, ":")
	if !named {
		return "1"
	}
	return kind + " = " + q.text(name) // kind is "region" or "server"; see rules.Rule.ScopeOf
}

// contest is the condition that the event of a row may count in the contest, if the
// row is the copy whose time is known best.
func (q *query) contest(c rules.Contest) string {
	return q.matches(c.Rule) + " AND " + q.inScope(c) + " AND " + q.during(c.Window)
}

// amount is what an event adds to its subject's tally, or more.
func (q *query) amount(m rules.Measure) string {
	switch m.Kind {
	case rules.MeasureSum:
		column := q.column(m.Key)
		return "if(length(" + column + ") <= 18, toUInt64OrZero(" + column + "), 0)"
	case rules.MeasureDistinct:
		return "toUInt64(" + q.column(m.Key) + " != '')"
	}
	return "toUInt64(greatest(count, 0))"
}
