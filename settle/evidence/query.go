package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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

// lines is the condition that a row lies within the lines' offsets, after those of
// others where they are given; of whatever time.
func (q *query) lines(lines []rules.NodeLine, after *rules.Cut) string {
	nodes := []string{"0"}
	for i := range lines {
		l := &lines[i]
		from := uint64(0)
		if after != nil {
			from = after.Offset(l.Node)
		}
		if l.Offset <= from {
			continue
		}
		node := "node = " + q.text(l.Node) + " AND offset <= " + q.uint(l.Offset)
		if from > 0 {
			node += " AND offset > " + q.uint(from)
		}
		for _, s := range slices.Concat(l.Lost, l.Void) {
			node += " AND NOT (offset BETWEEN " + q.uint(s.First) + " AND " + q.uint(s.Last) + ")"
		}
		nodes = append(nodes, "("+node+")")
	}
	return "(" + strings.Join(nodes, " OR ") + ")"
}

// within is the condition that a row is in the cut.
func (q *query) within(cut *rules.Cut) string {
	return "(instant_ns < " + q.instant(cut.Through) + " AND " + q.lines(cut.Nodes, nil) + ")"
}

// slice is the rows of arrivals that are in the cut and were not in the one before, in
// two halves that share none: what arrived since, and what had arrived before its time
// was closed.
func (q *query) slice(columns string, prev, cut *rules.Cut) string {
	var halves []string
	if slices.ContainsFunc(cut.Nodes, func(l rules.NodeLine) bool { return l.Offset > prev.Offset(l.Node) }) {
		halves = append(halves, "SELECT "+columns+" FROM arrivals WHERE "+q.lines(cut.Nodes, prev)+" AND instant_ns < "+q.instant(cut.Through))
	}
	if prev.Number > 0 && prev.Through < cut.Through {
		halves = append(halves, "SELECT "+columns+" FROM arrivals WHERE "+q.lines(held(prev, cut), nil)+
			" AND instant_ns >= "+q.instant(prev.Through)+" AND instant_ns < "+q.instant(cut.Through))
	}
	if len(halves) == 0 {
		return "SELECT " + columns + " FROM arrivals WHERE 0"
	}
	return strings.Join(halves, "\n    UNION ALL\n    ")
}

// held returns the lines of the cut, as far as the one before read them.
func held(prev, cut *rules.Cut) []rules.NodeLine {
	lines := slices.Clone(cut.Nodes)
	for i := range lines {
		lines[i].Offset = min(lines[i].Offset, prev.Offset(lines[i].Node))
	}
	return lines
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
		// Numbers are read exactly by rules: here a little wider than they say.
		if c.Gte != nil {
			all = append(all, "toFloat64OrNull("+column+") >= "+q.param("Float64", *c.Gte-slackOf(*c.Gte)))
		}
		if c.Lte != nil {
			all = append(all, "toFloat64OrNull("+column+") <= "+q.param("Float64", *c.Lte+slackOf(*c.Lte)))
		}
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

// slackOf is more than two ways to read one number can differ by.
func slackOf(f float64) float64 { return max(f, -f)*1e-9 + 1e-300 }

// during is the condition that an event counts in the window.
func (q *query) during(w rules.Window) string {
	if w.Forever() {
		return "1"
	}
	return "(instant_ns >= " + q.instant(w.Opens) + " AND instant_ns < " + q.instant(w.Closes) + ")"
}

// farthest is how far a corrected stamp can be from the stamp itself.
const farthest = 25 * time.Hour

// near is a condition on an event's own stamp that holds wherever any copy of it counts
// in the window: copies differ in how their time was corrected, never in the stamp.
func (q *query) near(w rules.Window) string {
	if w.Forever() {
		return "1"
	}
	return "(at_ns BETWEEN " + q.instant(w.Opens.Add(-farthest)) + " AND " + q.instant(w.Closes.Add(farthest)) + ")"
}

// nearAny is near of any of the windows; what overlaps is one condition.
func (q *query) nearAny(windows []rules.Window) string {
	windows = slices.Clone(windows)
	slices.SortFunc(windows, func(a, b rules.Window) int { return cmp.Compare(a.Opens, b.Opens) })
	var all []string
	for len(windows) > 0 {
		hull := windows[0]
		for windows = windows[1:]; len(windows) > 0 && !hull.Forever() && windows[0].Opens.Add(-farthest) <= hull.Closes.Add(farthest); windows = windows[1:] {
			hull.Closes = max(hull.Closes, windows[0].Closes)
		}
		all = append(all, q.near(hull))
	}
	return "(" + strings.Join(all, " OR ") + ")"
}

// inScope is the condition that an event counts in the scope.
func (q *query) inScope(scope rules.Scope) string {
	if name, ok := scope.Region(); ok {
		return "region = " + q.text(name)
	}
	if name, ok := scope.Server(); ok {
		return "server = " + q.text(name)
	}
	return "1"
}

// amount is what an event adds to its subject's tally, or more.
func (q *query) amount(m rules.Measure) string {
	switch m.Kind {
	case rules.MeasureSum:
		return "if(" + q.readable(m) + ", toUInt128OrZero(" + q.column(m.Key) + "), toUInt128(0))"
	case rules.MeasureDistinct:
		return "toUInt128(" + q.column(m.Key) + " != '')"
	}
	return "toUInt128(greatest(count, 0))"
}

// readable is the condition that a sum reads the event's field; rules.Rule.Amount says
// the same.
func (q *query) readable(m rules.Measure) string {
	column := q.column(m.Key)
	return "(match(" + column + `, '^0*[0-9]{1,16}$') AND toUInt128OrZero(` + column + ") <= " + strconv.Itoa(rules.MaxSummand) + ")"
}
