package settle

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// touch is a group of new events that count for one rule, and how much they can
// add at most: copies of one event are counted each time, so a tally of touches
// may only err upward.
type touch struct {
	rule     *rules.Rule
	from     rules.Instant // lies in the window that the events count in
	scope    string
	subject  string // of world_first and achievement; otherwise ""
	amount   int64
	earliest rules.Instant // the first at which any of them can have happened
	since    rules.Instant // the first at which any of them happened by its own server's clock
}

// fresh is what is new in a cut.
type fresh struct {
	touches []touch
	events  uint64 // identities
	late    uint64 // of these, of a time that an earlier cut had settled
	repeats uint64 // identities that an earlier cut had taken in, in another copy
}

const (
	hourNs   = 3600 * 1e9
	minuteNs = 60 * 1e9
)

// readFresh reads what is new in cuts that follow each other after the last settled
// one and read all nodes as far: reading many at once costs little more than one.
// Identities in conflict are left out of the counts; see countRivals.
func (s *state) readFresh(ctx context.Context, conn driver.Conn, cuts []rules.Cut) ([]fresh, error) {
	told, last := s.told(), &cuts[len(cuts)-1]
	if s.rivalsTo.Number == 0 || grown(&s.rivalsTo, last) {
		rivals, err := readRivals(ctx, conn, told, last)
		if err != nil {
			return nil, err
		}
		s.rivals, s.rivalsTo = rivals, *last
	}
	read, err := s.countFresh(ctx, conn, told, cuts)
	if err != nil || read == nil {
		return make([]fresh, len(cuts)), err
	}
	touches, err := s.readTouches(ctx, conn, told, cuts)
	if err != nil {
		return nil, err
	}
	for i := range read {
		read[i].touches = touches[i]
	}
	return read, nil
}

// countFresh counts the identities that are new in each cut: in the first one that
// has a row of it, and not in told. Whether one is late is said by the copy that
// counts there. It returns nil where there is no new row at all.
func (s *state) countFresh(ctx context.Context, conn driver.Conn, told *rules.Cut, cuts []rules.Cut) ([]fresh, error) {
	last := &cuts[len(cuts)-1]
	fail := func(err error) ([]fresh, error) {
		return nil, fmt.Errorf("count what is new in cut %d: %w", last.Number, err)
	}
	q := &query{}
	var n uint64
	var since, until int64
	err := conn.QueryRow(ctx, "SELECT count(), min(at_ns), max(at_ns) FROM event_log WHERE "+q.slice(told, last), q.args...).Scan(&n, &since, &until)
	if err != nil {
		return fail(err)
	}
	if n == 0 {
		return nil, nil
	}
	q = &query{}
	slice := q.slice(told, last)
	known, late := "0", "0"
	if told.Number > 0 {
		// Copies of an event have one time by its server's clock, so those that told
		// held lie in the same days of the log.
		known = "(server, id) IN (SELECT server, id FROM event_log WHERE " + q.within(told) +
			fmt.Sprintf(" AND at_ns BETWEEN %d AND %d", since, until) + " AND (server, id) IN (SELECT server, id FROM event_log WHERE " + slice + "))"
		late = "best < " + q.instant(told.Through)
	}
	rows, err := conn.Query(ctx, `SELECT
    cut,
    countIf(first) AS events,
    countIf(first AND `+late+`) AS events_late,
    countIf(NOT first) AS repeats
FROM
(
    SELECT arrayJoin(cuts) AS cut, cut = lowest AND NOT known AS first, best
    FROM
    (
        SELECT
            groupUniqArray(cut) AS cuts,
            min(cut) AS lowest,
            argMin(instant_ns, (cut, err_ns, node, offset)) AS best,
            `+known+` AS known
        FROM (SELECT server, id, instant_ns, err_ns, node, offset, `+cutNumberSQL(cuts)+` AS cut FROM event_log WHERE `+slice+`)
        WHERE `+rivalKeySQL+` NOT IN `+q.texts(rivalKeys(s.rivals))+`
        GROUP BY server, id
    )
)
GROUP BY cut
ORDER BY cut`, q.args...)
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	read := make([]fresh, len(cuts))
	for rows.Next() {
		var cut int32
		var f fresh
		if err := rows.Scan(&cut, &f.events, &f.late, &f.repeats); err != nil {
			return fail(err)
		}
		read[cut] = f
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return read, nil
}

func rivalKeys(rivals []rival) []string {
	keys := []string{""} // an empty list has no type
	for i := range rivals {
		if i == 0 || rivals[i].Identity != rivals[i-1].Identity {
			keys = append(keys, rivals[i].key())
		}
	}
	return keys
}

// cutNumberSQL is the number of the cut, from 0, that a new row is in: how many of
// them end at or before it.
func cutNumberSQL(cuts []rules.Cut) string {
	ends := []string{"toInt32(0)"}
	for i := range cuts[:len(cuts)-1] {
		ends = append(ends, fmt.Sprintf("(instant_ns >= %d)", cuts[i].Through))
	}
	return "toInt32(" + strings.Join(ends, " + ") + ")"
}

// readTouches reads, in one pass over the rows that are new in cuts after told,
// what they touch of every rule, for each cut.
func (s *state) readTouches(ctx context.Context, conn driver.Conn, told *rules.Cut, cuts []rules.Cut) ([][]touch, error) {
	q := &query{}
	return s.queryTouches(ctx, conn, q, cuts, q.slice(told, &cuts[len(cuts)-1]))
}

// readRepeated reads what the rows touch that told held of the identities with a
// new row in cut.
func (s *state) readRepeated(ctx context.Context, conn driver.Conn, told, cut *rules.Cut) ([]touch, error) {
	q := &query{}
	touches, err := s.queryTouches(ctx, conn, q, []rules.Cut{*cut},
		q.within(told)+" AND (server, id) IN (SELECT server, id FROM event_log WHERE "+q.slice(told, cut)+")")
	if err != nil {
		return nil, err
	}
	return touches[0], nil
}

func (s *state) queryTouches(ctx context.Context, conn driver.Conn, q *query, cuts []rules.Cut, where string) ([][]touch, error) {
	last := cuts[len(cuts)-1].Number
	rows, err := conn.Query(ctx, touchesSQL(q, s.set, cuts, where), q.args...)
	if err != nil {
		return nil, fmt.Errorf("read what is new in cut %d: %w", last, err)
	}
	defer rows.Close()
	touches := make([][]touch, len(cuts))
	for rows.Next() {
		var cut, rule int32
		var bucket, earliest, since int64
		var amount uint64
		var t touch
		if err := rows.Scan(&cut, &rule, &bucket, &t.scope, &t.subject, &amount, &earliest, &since); err != nil {
			return nil, fmt.Errorf("read what is new in cut %d: %w", last, err)
		}
		t.rule = &s.set.Rules[rule]
		t.from = rules.Instant(bucket * bucketNs(t.rule))
		t.amount, t.earliest, t.since = int64(amount), rules.Instant(earliest), rules.Instant(since)
		touches[cut] = append(touches[cut], t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is new in cut %d: %w", last, err)
	}
	return touches, nil
}

// bucketNs is the span within which all events of the rule lie in one window. 1
// where there is a single window.
func bucketNs(r *rules.Rule) int64 {
	switch {
	case r.Window.Every != "":
		return hourNs
	case r.Window.Schedule != nil:
		return minuteNs
	}
	return 1
}

// touchesSQL joins to each row the numbers of the rules it counts for. A rule is
// known by its number alone, so no text of the ruleset gets into the statement. The
// array is joined in a query of its own: an alias that is used several times is
// analyzed as often, and that took longer than reading the events.
func touchesSQL(q *query, set *rules.Ruleset, cuts []rules.Cut, where string) string {
	var matches, amounts []string
	numbers := map[string][]string{}
	for i := range set.Rules {
		r := &set.Rules[i]
		n := strconv.Itoa(i)
		matched := q.matches(r)
		if w := r.Window.Fixed; !w.Forever() {
			matched += " AND " + q.during(w)
		}
		matches = append(matches, "if("+matched+", "+n+", -1)")
		numbers[strconv.Itoa(int(bucketNs(r)))] = append(numbers[strconv.Itoa(int(bucketNs(r)))], n)
		numbers[r.Scope] = append(numbers[r.Scope], n)
		if r.Kind == rules.WorldFirst || r.Kind == rules.Achievement {
			numbers[r.Subject] = append(numbers[r.Subject], n)
			amounts = append(amounts, "rule = "+n+", "+q.amount(r.Measure))
		}
	}
	in := func(what string) string { return "rule IN (" + strings.Join(append(numbers[what], "-1"), ", ") + ")" }
	amount := "toUInt64(0)"
	if len(amounts) > 0 {
		amount = "multiIf(" + strings.Join(amounts, ", ") + ", toUInt64(0))"
	}
	return `SELECT
    ` + cutNumberSQL(cuts) + ` AS cut,
    rule,
    multiIf(` + in(strconv.Itoa(hourNs)) + `, intDiv(instant_ns, 3600000000000), ` + in(strconv.Itoa(minuteNs)) + `, intDiv(instant_ns, 60000000000), toInt64(0)) AS bucket,
    multiIf(` + in(rules.ScopeRegion) + `, concat('region:', region), ` + in(rules.ScopeServer) + `, concat('server:', server), 'world') AS scope,
    multiIf(` + in(rules.SubjectPlayer) + `, player, ` + in(rules.SubjectGuild) + `, guild, '') AS subject,
    toUInt64(least(sum(toUInt128(` + amount + `)), 4611686018427387904)) AS total,
    min(instant_ns - err_ns) AS earliest,
    min(at_ns) AS since
FROM
(
    SELECT
        *,
        toInt32(arrayJoin(arrayFilter(n -> n >= 0, [` + strings.Join(matches, ",\n            ") + `]))) AS rule
    FROM event_log
    WHERE ` + where + `
)
GROUP BY cut, rule, bucket, scope, subject
ORDER BY cut, rule, bucket, scope, subject`
}
