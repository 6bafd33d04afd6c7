package evidence

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// Taken is what is new in a cut.
type Taken struct {
	Rows      uint64           // of the slice; 0: nothing is new
	Events    uint64           // identities
	Late      uint64           // of these, of a time that an earlier cut had settled
	Behind    []rules.Tally    // see rules.Settled
	Refused   []rules.Tally    // likewise
	Numbers   []rules.Numbered // by server; of rows of whatever time
	Conflicts []rules.Conflict // that the cut makes, by (server, ID)
	Touched   []Touched        // contests that an event of the slice may count in, in no order
}

// Touched is a contest with an instant before which no event of the slice that may
// count in it happened, by any account.
type Touched struct {
	rules.Contest
	First rules.Instant
}

// Take takes in what is new in a cut that follows prev. It writes what that adds to
// the tallies, keyed by the cut, and may be repeated.
func (r *Reader) Take(ctx context.Context, set *rules.Ruleset, prev, cut *rules.Cut) (Taken, error) {
	var t Taken
	var err error
	if t.Numbers, err = r.numbers(ctx, prev, cut); err != nil {
		return t, err
	}
	if t.Rows, t.Behind, err = r.arrived(ctx, prev, cut); err != nil || t.Rows == 0 {
		return t, err
	}
	if err := r.identities(ctx, prev, cut, &t); err != nil {
		return t, err
	}
	if t.Refused, err = r.refused(ctx, set, prev, cut); err != nil {
		return t, err
	}
	if err := r.carry(ctx, set, prev, cut); err != nil {
		return t, err
	}
	t.Touched, err = r.Touched(ctx, set, cut)
	return t, err
}

// Start reads what a settlement that goes on after a settled cut needs to know, and adds
// up what rules count that the cut did not cover.
func (r *Reader) Start(ctx context.Context, set *rules.Ruleset, last *rules.Cut, covered []string) error {
	if err := r.readClocks(ctx); err != nil {
		return err
	}
	fresh := &rules.Ruleset{}
	for i := range set.Rules {
		if !covers(covered, &set.Rules[i]) {
			fresh.Rules = append(fresh.Rules, set.Rules[i])
		}
	}
	if len(fresh.Rules) == 0 {
		return nil
	}
	return r.backfill(ctx, fresh, last)
}

func covers(covered []string, rule *rules.Rule) bool {
	return slices.Contains(covered, strconv.FormatUint(rule.TallyKey(), 10))
}

// Restore writes once more what cuts have written beside the ledger, after one of which
// all is there up to the last settled one, since a power cut may have taken any of it:
// the conflicts that the ledger says they found, what is known of clocks, and what their
// slices add to the tallies of rules that the last cut covered. It changes nothing where
// all is there, and may be repeated.
//
// The slices are taken in as one, by the last cut: where some of the totals are there,
// others become too high, which is what totals may be.
func (r *Reader) Restore(ctx context.Context, set *rules.Ruleset, before, last *rules.Cut, conflicts []rules.Entry, covered []string) error {
	for len(conflicts) > 0 {
		cut := conflicts[0].Cut
		var found []rules.Conflict
		for len(conflicts) > 0 && conflicts[0].Cut == cut {
			found, conflicts = append(found, *conflicts[0].Conflict), conflicts[1:]
		}
		if err := r.writeConflicts(ctx, cut, found); err != nil {
			return err
		}
	}
	if err := r.readClocks(ctx); err != nil {
		return err
	}
	if !r.calm {
		if err := r.conflicts(ctx, before, last, &Taken{}, true); err != nil {
			return err
		}
	}
	if _, _, err := r.arrived(ctx, before, last); err != nil {
		return err
	}
	known := &rules.Ruleset{}
	for i := range set.Rules {
		if covers(covered, &set.Rules[i]) {
			known.Rules = append(known.Rules, set.Rules[i])
		}
	}
	if len(known.Rules) == 0 {
		return nil
	}
	return r.carry(ctx, known, before, last)
}

// carry writes the touches and tallies of a cut.
func (r *Reader) carry(ctx context.Context, set *rules.Ruleset, prev, cut *rules.Cut) error {
	q := &query{}
	opens, err := r.cronOpens(ctx, set, func(q *query) string { return q.slice("instant_ns", prev, cut) })
	if err != nil {
		return err
	}
	what := fmt.Sprintf("take in what is new in cut %d", cut.Number)
	insert := "INSERT INTO touches (cut, rule, scope, opens_ns, subject, member, value, amount, earliest_ns)\nSELECT " + q.uint(cut.Number) + ", " +
		touchesSQL(q, set, opens, q.slice(touchColumns, prev, cut))
	if err := r.exec(ctx, what, insert, q.args); err != nil {
		return err
	}
	// A crash here leaves touches without tallies; the next run writes both again.
	return r.exec(ctx, what, totalsSQL(cut.Number), nil)
}

// backfill writes the touches and tallies of rules as of a settled cut, in one pass over
// the log.
func (r *Reader) backfill(ctx context.Context, set *rules.Ruleset, cut *rules.Cut) error {
	all := func(q *query) string { return "SELECT instant_ns FROM event_log WHERE " + q.within(cut) }
	opens, err := r.cronOpens(ctx, set, all)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("add up the new rules as of cut %d", cut.Number)
	// Claims may be known from a time when the rules were there before: all that came
	// since may change them, so everything is a touch.
	q := &query{}
	insert := "INSERT INTO touches (cut, rule, scope, opens_ns, subject, member, value, amount, earliest_ns)\nSELECT " + q.uint(cut.Number) + ", " +
		touchesSQL(q, set, opens, "SELECT "+touchColumns+" FROM event_log WHERE "+q.within(cut))
	if err := r.exec(ctx, what, insert, q.args); err != nil {
		return err
	}
	// A crash here leaves no settled cut that covers the rules, so that the next start adds
	// them up again. Tallies from before are not added to: the log has all of it.
	insert = "INSERT INTO tallies (rule, scope, opens_ns, subject, member, value, total, cut)\nSELECT rule, scope, opens_ns, subject, member, value, max(amount), cut\n" +
		"FROM touches\nWHERE cut = " + q.uint(cut.Number) + " AND rule IN (" + strings.Join(set.TallyKeys(), ", ") + ")\nGROUP BY cut, rule, scope, opens_ns, subject, member, value"
	return r.exec(ctx, what, insert, nil)
}

// totalsSQL adds the touches of a cut to the tallies: a total, never a difference, so
// that it may be repeated. What is there as of the cut or a later one stays.
func totalsSQL(cut uint64) string {
	k := strconv.FormatUint(cut, 10)
	const key = "rule, scope, opens_ns, subject, member, value"
	return `INSERT INTO tallies (` + key + `, total, cut)
SELECT ` + key + `, argMax(total, cut) + max(amount), ` + k + `
FROM
(
    SELECT ` + key + `, amount, toUInt128(0) AS total, toUInt64(0) AS cut
    FROM touches
    WHERE touches.cut = ` + k + `
    UNION ALL
    SELECT ` + key + `, toUInt128(0), total, cut
    FROM tallies
    WHERE (rule, scope, opens_ns, subject) IN (SELECT rule, scope, opens_ns, subject FROM touches WHERE cut = ` + k + `)
)
GROUP BY ` + key + `
HAVING max(amount) > 0 AND max(cut) < ` + k + `
`
}

// touchColumns are what touches are made of.
const touchColumns = "type, server, region, player, guild, target, sku, count, attrs, instant_ns, earliest_ns"

// touchesSQL joins to each row the rules it counts for, each key once, and adds up. A
// rule is known by its number alone, so no text of the ruleset gets into the statement.
// The array is joined in a query of its own: an alias that is used several times is
// analyzed as often, and that took longer than reading the events.
func touchesSQL(q *query, set *rules.Ruleset, opens map[uint64][]int64, rows string) string {
	var matches []string
	var windows, scopes, subjects, members, values, amounts cases
	done := map[uint64]bool{}
	for i := range set.Rules {
		r := &set.Rules[i]
		key := r.TallyKey()
		if done[key] {
			continue
		}
		done[key] = true
		n := "toUInt64(" + strconv.FormatUint(key, 10) + ")"
		matched := q.matches(r)
		if w := r.Window.Fixed; !w.Forever() {
			matched += " AND " + q.during(w)
		}
		matches = append(matches, "if("+matched+", "+n+", 0)")
		windows.add(n, windowSQL(q, r, opens[key]))
		scopes.add(n, scopeSQL(r))
		subjects.add(n, r.Subject)
		member, value := "''", "''"
		if r.Subject == rules.SubjectGuild {
			member = "player"
		}
		if r.Measure.Kind == rules.MeasureDistinct {
			value = q.column(r.Measure.Key)
		}
		members.add(n, member)
		values.add(n, value)
		amount := q.amount(r.Measure)
		if slices.ContainsFunc(set.Rules, func(o rules.Rule) bool { return o.Kind == rules.Sale && o.TallyKey() == key }) {
			amount = "toUInt128(greatest(count, 1))" // whoever asks is in line, whatever for
		}
		amounts.add(n, amount)
	}
	// Of a distinct measure a row is a value, however often it was seen.
	return `rule, scope, opens_ns, subject, member, value, if(value != '', toUInt128(1), sum(one)) AS amount, min(first_ns) AS earliest
FROM
(
    SELECT
        rule,
        ` + scopes.sql() + ` AS scope,
        ` + windows.sql() + ` AS opens_ns,
        ` + subjects.sql() + ` AS subject,
        ` + members.sql() + ` AS member,
        ` + values.sql() + ` AS value,
        ` + amounts.sql() + ` AS one,
        least(earliest_ns, instant_ns) AS first_ns
    FROM
    (
        SELECT *, arrayJoin(arrayFilter(n -> n > 0, [` + strings.Join(matches, ",\n            ") + `])) AS rule
        FROM (` + rows + `)
    )
)
WHERE opens_ns != ` + outside + ` AND one > 0
GROUP BY rule, scope, opens_ns, subject, member, value`
}

// cases are what an expression is for each rule. Those that are the same for several
// rules stand in it once: a statement's cost is that of its text where little is new.
type cases struct {
	texts []string
	rules map[string][]string
}

func (c *cases) add(rule, text string) {
	if c.rules == nil {
		c.rules = map[string][]string{}
	}
	if c.rules[text] == nil {
		c.texts = append(c.texts, text)
	}
	c.rules[text] = append(c.rules[text], rule)
}

func (c *cases) sql() string {
	last := len(c.texts) - 1
	if last == 0 {
		return c.texts[0]
	}
	s := "multiIf("
	for _, text := range c.texts[:last] {
		s += "rule IN (" + strings.Join(c.rules[text], ", ") + "), " + text + ", "
	}
	return s + c.texts[last] + ")"
}

// outside is the opening of no window.
const outside = "-1"

func scopeSQL(r *rules.Rule) string {
	switch r.Scope {
	case rules.ScopeRegion:
		return "concat('region:', region)"
	case rules.ScopeServer:
		return "concat('server:', server)"
	}
	return "'world'"
}

const (
	hourNs = 3600 * 1_000_000_000
	dayNs  = 24 * hourNs
)

// windowSQL is the opening of the window that an event counts in. Instants are after
// 1970, so whole numbers are divided as clocks are. Weeks begin on Mondays: 1970-01-01
// was a Thursday.
func windowSQL(q *query, r *rules.Rule, opens []int64) string {
	day, hour := strconv.Itoa(dayNs), strconv.Itoa(hourNs)
	switch {
	case r.Window.Every == rules.Hour:
		return "intDiv(instant_ns, " + hour + ") * " + hour
	case r.Window.Every == rules.Day:
		return "intDiv(instant_ns, " + day + ") * " + day
	case r.Window.Every == rules.Week:
		return "(intDiv(intDiv(instant_ns, " + day + ") + 3, 7) * 7 - 3) * " + day
	case r.Window.Every == rules.Month:
		t := "fromUnixTimestamp64Nano(instant_ns, 'UTC')"
		return "toInt64(toInt32(makeDate32(toYear(" + t + "), toMonth(" + t + "), 1))) * " + day
	case r.Window.Schedule != nil:
		list := q.param("Array(Int64)", opens)
		return "arrayElement(arrayPushFront(" + list + ", toInt64(" + outside + ")), arrayLastIndex(o -> o <= instant_ns, " + list + ") + 1)"
	case !r.Window.Fixed.Forever():
		return "toInt64(" + q.instant(r.Window.Fixed.Opens) + ")"
	}
	return "toInt64(0)"
}

// cronOpens returns the openings of the windows of rules with a schedule that the rows
// may count in, by key, sorted.
func (r *Reader) cronOpens(ctx context.Context, set *rules.Ruleset, rows func(*query) string) (map[uint64][]int64, error) {
	opens := map[uint64][]int64{}
	if !slices.ContainsFunc(set.Rules, func(r rules.Rule) bool { return r.Window.Schedule != nil }) {
		return opens, nil
	}
	const minuteNs = 60 * 1_000_000_000 // a schedule fires at whole minutes
	q := &query{}
	var minutes []int64
	err := r.each(ctx, "find the windows of what is new", fmt.Sprintf("SELECT DISTINCT intDiv(instant_ns, %d) AS minute FROM (%s) ORDER BY minute", minuteNs, rows(q)),
		q.args, func(rows driver.Rows) error {
			var m int64
			err := rows.Scan(&m)
			minutes = append(minutes, m)
			return err
		})
	if err != nil {
		return nil, err
	}
	for i := range set.Rules {
		rule := &set.Rules[i]
		if rule.Window.Schedule == nil {
			continue
		}
		var list []int64
		for _, m := range minutes {
			if w, ok := rule.Window.At(rules.Instant(m * minuteNs)); ok && (len(list) == 0 || list[len(list)-1] != int64(w.Opens)) {
				list = append(list, int64(w.Opens))
			}
		}
		opens[rule.TallyKey()] = list
	}
	return opens, nil
}

// Touched returns the contests that the cut's touches are about.
func (r *Reader) Touched(ctx context.Context, set *rules.Ruleset, cut *rules.Cut) ([]Touched, error) {
	return r.contests(ctx, set, "SELECT rule, scope, opens_ns, min(earliest_ns) FROM touches WHERE cut = "+strconv.FormatUint(cut.Number, 10)+" GROUP BY rule, scope, opens_ns", nil)
}

// Contests returns the contests of the ruleset that there are tallies of and that the
// cut leaves open, or that are for ever: achievements aside, which wait for nothing. With
// all it returns these too, and sales that are over: each attempt still gets an answer.
func (r *Reader) Contests(ctx context.Context, set *rules.Ruleset, cut *rules.Cut, all bool) ([]rules.Contest, error) {
	const columns = "SELECT rule, scope, opens_ns FROM tallies WHERE "
	open := []string{"0"}
	var single []string // statements that read one row
	for i := range set.Rules {
		rule := &set.Rules[i]
		if rule.Kind == rules.Achievement && !all {
			continue
		}
		one := "rule = " + strconv.FormatUint(rule.TallyKey(), 10)
		if rule.Window != (rules.WindowSpec{}) && (!all || rule.Kind != rules.Sale) {
			// Of the windows that have not ended at this time the first is the one that holds it.
			first := cut.AsOf.Add(-max(rule.Correct, rule.Hold) - rules.Farthest)
			if w, ok := rule.Window.At(first); ok {
				first = w.Opens
			}
			one += " AND opens_ns >= " + strconv.FormatInt(int64(first), 10)
		}
		if rule.Scope == rules.ScopeWorld && (rule.Window == (rules.WindowSpec{}) || !rule.Window.Fixed.Forever()) {
			single = append(single, "SELECT * FROM ("+columns+one+" LIMIT 1)")
			continue
		}
		open = append(open, "("+one+")")
	}
	each := slices.Concat(single, []string{columns + strings.Join(open, " OR ")})
	found, err := r.contests(ctx, set, "SELECT rule, scope, opens_ns, toInt64(0)\nFROM\n(\n    "+strings.Join(each, "\n    UNION ALL\n    ")+"\n)\nGROUP BY rule, scope, opens_ns", nil)
	contests := make([]rules.Contest, len(found))
	for i := range found {
		contests[i] = found[i].Contest
	}
	return contests, err
}

func (r *Reader) contests(ctx context.Context, set *rules.Ruleset, statement string, args []any) ([]Touched, error) {
	byKey := map[uint64][]*rules.Rule{}
	for i := range set.Rules {
		byKey[set.Rules[i].TallyKey()] = append(byKey[set.Rules[i].TallyKey()], &set.Rules[i])
	}
	var contests []Touched
	err := r.each(ctx, "find the contests that events count in", statement, args, func(rows driver.Rows) error {
		var key uint64
		var scope string
		var opens, first int64
		if err := rows.Scan(&key, &scope, &opens, &first); err != nil {
			return err
		}
		for _, rule := range byKey[key] {
			if w, ok := rule.Window.At(rules.Instant(opens)); ok {
				contests = append(contests, Touched{rules.Contest{Rule: rule, Scope: rules.Scope(scope), Window: w}, rules.Instant(first)})
			}
		}
		return nil
	})
	return contests, err
}

// clock is how far the ends of a server's events lie from its stamps.
type clock struct{ mostE, leastE, leastL rules.Instant }

func (c clock) with(o clock) clock {
	return clock{max(c.mostE, o.mostE), min(c.leastE, o.leastE), min(c.leastL, o.leastL)}
}

// readClocks reads what is known of servers' clocks, and so how far their estimates can
// contradict their own orders; and whether there are conflicts.
func (r *Reader) readClocks(ctx context.Context) error {
	r.clocks, r.slack, r.leastE = map[string]clock{}, 0, rules.Never
	err := r.each(ctx, "look for conflicts", "SELECT count() FROM conflicts", nil, func(rows driver.Rows) error {
		var n uint64
		err := rows.Scan(&n)
		r.calm = n == 0
		return err
	})
	if err != nil {
		return err
	}
	return r.each(ctx, "read the clocks", "SELECT server, max(most_e), min(least_e), min(least_l) FROM clocks GROUP BY server", nil, func(rows driver.Rows) error {
		var server string
		var mostE, leastE, leastL int64
		err := rows.Scan(&server, &mostE, &leastE, &leastL)
		r.learn(server, clock{rules.Instant(mostE), rules.Instant(leastE), rules.Instant(leastL)})
		return err
	})
}

// learn takes in what is new of a server's clock and reports whether anything is.
func (r *Reader) learn(server string, c clock) bool {
	before, known := r.clocks[server]
	if known {
		c = c.with(before)
	}
	r.clocks[server] = c
	r.slack, r.leastE = max(r.slack, rules.Slack(c.mostE, c.leastE, c.leastL)), min(r.leastE, c.leastE)
	return !known || c != before
}

// arrived counts the rows of the slice, and those of each node that its watermark in
// the cut before had passed, and learns of the servers' clocks from them.
func (r *Reader) arrived(ctx context.Context, prev, cut *rules.Cut) (count uint64, behind []rules.Tally, err error) {
	if r.clocks == nil {
		if err := r.readClocks(ctx); err != nil {
			return 0, nil, err
		}
	}
	q := &query{}
	marks := []string{}
	for i := range prev.Nodes {
		l := &prev.Nodes[i]
		marks = append(marks, "node = "+q.text(l.Node)+", offset > "+q.uint(l.Offset)+" AND earliest_ns < "+q.instant(l.Watermark))
	}
	late := "0"
	if len(marks) > 0 {
		late = "multiIf(" + strings.Join(marks, ", ") + ", 0)"
	}
	statement := `SELECT toString(node), toString(server), count(), uniqExactIf(offset, ` + late + `),
    max(earliest_ns - at_ns), min(earliest_ns - at_ns), min(latest_ns - at_ns)
FROM (` + q.slice("node, server, offset, at_ns, earliest_ns, latest_ns", prev, cut) + `)
GROUP BY node, server
ORDER BY node, server`
	var servers []string
	var mostE, leastE, leastL []int64
	err = r.each(ctx, fmt.Sprintf("count what arrived for cut %d", cut.Number), statement, q.args, func(rows driver.Rows) error {
		var node, server string
		var n, b uint64
		var most, least, latest int64
		if err := rows.Scan(&node, &server, &n, &b, &most, &least, &latest); err != nil {
			return err
		}
		count += n
		if last := len(behind) - 1; b > 0 && last >= 0 && behind[last].Name == node {
			behind[last].Count += b
		} else if b > 0 {
			behind = append(behind, rules.Tally{Name: node, Count: b})
		}
		if r.learn(server, clock{rules.Instant(most), rules.Instant(least), rules.Instant(latest)}) {
			servers, mostE, leastE, leastL = append(servers, server), append(mostE, most), append(leastE, least), append(leastL, latest)
		}
		return nil
	})
	if err != nil || len(servers) == 0 {
		return count, behind, err
	}
	// A crash here leaves what this process has learnt of clocks unwritten: the next one
	// takes the same cut in and learns it again.
	return count, behind, r.insert(ctx, "INSERT INTO clocks (server, most_e, least_e, least_l)", servers, mostE, leastE, leastL)
}

// refused counts the identities whose amount each rule cannot read, by rule.
func (r *Reader) refused(ctx context.Context, set *rules.Ruleset, prev, cut *rules.Cut) ([]rules.Tally, error) {
	var refused []rules.Tally
	for i := range set.Rules {
		rule := &set.Rules[i]
		if rule.Measure.Kind != rules.MeasureSum {
			continue
		}
		// Rules count by content and window; where the number itself is a condition or the
		// window comes from a schedule, rules has the last word.
		q := &query{}
		scan := wholeRecords()
		statement := "SELECT " + scan.columns + " FROM (" + q.slice("*", prev, cut) + ") WHERE " + q.matches(rule) + " AND NOT " + q.readable(rule.Measure)
		seen := map[rules.Identity]bool{}
		err := r.each(ctx, "count what rule "+rule.ID+" cannot read", statement, q.args, func(rows driver.Rows) error {
			rec, err := scan.record(rows)
			if err != nil {
				return err
			}
			if _, ok := rule.ContestOf(rec); ok {
				if _, read := rule.Amount(&rec.Event); !read {
					seen[rec.Identity()] = true
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(seen) > 0 {
			refused = append(refused, rules.Tally{Name: rule.ID, Count: uint64(len(seen))})
		}
	}
	slices.SortFunc(refused, func(a, b rules.Tally) int { return cmp.Compare(a.Name, b.Name) })
	return refused, nil
}
