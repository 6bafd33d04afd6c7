package settle

import (
	"context"
	"fmt"
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
	rows     uint64
}

// arrivals counts the identities that a cut takes in.
type arrivals struct {
	events uint64
	late   uint64 // of these, of a time that an earlier cut had settled
}

const (
	hourNs   = 3600 * 1e9
	minuteNs = 60 * 1e9
)

// readSlice reads, in one pass over the events that are new in the cut, what they
// touch of every rule.
func readSlice(ctx context.Context, conn driver.Conn, set *rules.Ruleset, told, cut *rules.Cut) ([]touch, arrivals, error) {
	q := &query{}
	statement := sliceSQL(q, set, told, cut)
	rows, err := conn.Query(ctx, statement, q.args...)
	if err != nil {
		return nil, arrivals{}, fmt.Errorf("read what is new in cut %d: %w", cut.Number, err)
	}
	defer rows.Close()
	var touches []touch
	var count arrivals
	for rows.Next() {
		var rule int32
		var bucket, earliest int64
		var amount, n, events, late uint64
		var t touch
		if err := rows.Scan(&rule, &bucket, &t.scope, &t.subject, &amount, &earliest, &n, &events, &late); err != nil {
			return nil, arrivals{}, fmt.Errorf("read what is new in cut %d: %w", cut.Number, err)
		}
		if rule == 0 {
			count = arrivals{events, late}
			continue
		}
		t.rule = &set.Rules[rule-1]
		t.from = rules.Instant(bucket * bucketNs(t.rule))
		t.amount, t.earliest, t.rows = int64(amount), rules.Instant(earliest), n
		touches = append(touches, t)
	}
	if err := rows.Err(); err != nil {
		return nil, arrivals{}, fmt.Errorf("read what is new in cut %d: %w", cut.Number, err)
	}
	if told.Number > 0 && count.events > 0 && grown(told, cut) {
		known, err := countKnown(ctx, conn, told, cut)
		if err != nil {
			return nil, arrivals{}, err
		}
		count.events -= known
		count.late -= min(count.late, known)
	}
	return touches, count, nil
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

// sliceSQL joins to each event the numbers of the rules it counts for, from 1; 0
// stands for the event itself, whatever the rules. A rule is known by its number
// alone, so no text of the ruleset gets into the statement.
func sliceSQL(q *query, set *rules.Ruleset, told, cut *rules.Cut) string {
	matches := []string{"toInt32(0)"}
	hours, minutes, regions, servers := []string{"-1"}, []string{"-1"}, []string{"-1"}, []string{"-1"}
	players, guilds := []string{"-1"}, []string{"-1"}
	amounts := []string{}
	for i := range set.Rules {
		r := &set.Rules[i]
		n := fmt.Sprint(i + 1)
		matches = append(matches, "if("+q.matches(r)+", "+n+", -1)")
		switch bucketNs(r) {
		case hourNs:
			hours = append(hours, n)
		case minuteNs:
			minutes = append(minutes, n)
		}
		switch r.Scope {
		case rules.ScopeRegion:
			regions = append(regions, n)
		case rules.ScopeServer:
			servers = append(servers, n)
		}
		if r.Kind == rules.WorldFirst || r.Kind == rules.Achievement {
			if r.Subject == rules.SubjectGuild {
				guilds = append(guilds, n)
			} else {
				players = append(players, n)
			}
			amounts = append(amounts, "rule = "+n+", "+q.amount(r.Measure))
		}
	}
	in := func(numbers []string) string { return "rule IN (" + strings.Join(numbers, ", ") + ")" }
	amounts = append(amounts, "toUInt64(0)")
	amount := amounts[0]
	if len(amounts) > 1 {
		amount = "multiIf(" + strings.Join(amounts, ", ") + ")"
	}
	told0 := "0"
	if told.Number > 0 {
		told0 = "instant_ns < " + q.instant(told.Through)
	}
	return `SELECT
    rule,
    bucket,
    scope,
    subject,
    toUInt64(least(sum(toUInt128(amount)), 4611686018427387904)) AS total,
    min(instant_ns - err_ns) AS earliest,
    count() AS events_touched,
    uniqExactIf(sipHash128(server, id), rule = 0) AS events,
    uniqExactIf(sipHash128(server, id), rule = 0 AND late) AS events_late
FROM
(
    SELECT
        arrayJoin(arrayFilter(n -> n >= 0, [` + strings.Join(matches, ",\n            ") + `])) AS rule,
        multiIf(` + in(hours) + `, intDiv(instant_ns, 3600000000000), ` + in(minutes) + `, intDiv(instant_ns, 60000000000), toInt64(0)) AS bucket,
        multiIf(` + in(regions) + `, concat('region:', region), ` + in(servers) + `, concat('server:', server), 'world') AS scope,
        multiIf(` + in(players) + `, player, ` + in(guilds) + `, guild, '') AS subject,
        ` + amount + ` AS amount,
        ` + told0 + ` AS late,
        instant_ns,
        err_ns,
        server,
        id
    FROM event_log
    WHERE ` + q.slice(told, cut) + `
)
GROUP BY rule, bucket, scope, subject
ORDER BY rule, bucket, scope, subject`
}

// countKnown counts the identities that are new in the cut only as further copies
// of events that told held already.
func countKnown(ctx context.Context, conn driver.Conn, told, cut *rules.Cut) (uint64, error) {
	q := &query{}
	statement := `SELECT uniqExact(server, id)
FROM event_log
WHERE ` + q.within(told) + ` AND (server, id) IN (SELECT server, id FROM event_log WHERE ` + q.slice(told, cut) + `)`
	var known uint64
	if err := conn.QueryRow(ctx, statement, q.args...).Scan(&known); err != nil {
		return 0, fmt.Errorf("count the copies in cut %d: %w", cut.Number, err)
	}
	return known, nil
}
