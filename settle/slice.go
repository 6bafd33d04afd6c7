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

const (
	hourNs   = 3600 * 1e9
	minuteNs = 60 * 1e9
)

// fresh is what is new in a cut.
type fresh struct {
	touches []touch
	events  uint64 // identities
	late    uint64 // of these, of a time that an earlier cut had settled
}

// readSlices reads, in one pass over the events that are new in cuts, what they
// touch of every rule, for each cut. The cuts follow each other after told, and all
// read the nodes as far: reading many at once costs little more than one.
func readSlices(ctx context.Context, conn driver.Conn, set *rules.Ruleset, told *rules.Cut, cuts []rules.Cut) ([]fresh, error) {
	q := &query{}
	last := &cuts[len(cuts)-1]
	rows, err := conn.Query(ctx, sliceSQL(q, set, told, cuts), q.args...)
	if err != nil {
		return nil, fmt.Errorf("read what is new in cut %d: %w", last.Number, err)
	}
	defer rows.Close()
	slices := make([]fresh, len(cuts))
	for rows.Next() {
		var n, rule int32
		var bucket, earliest int64
		var amount, events, late uint64
		var t touch
		if err := rows.Scan(&n, &rule, &bucket, &t.scope, &t.subject, &amount, &earliest, &t.rows, &events, &late); err != nil {
			return nil, fmt.Errorf("read what is new in cut %d: %w", last.Number, err)
		}
		slice := &slices[n]
		if rule == 0 {
			slice.events, slice.late = events, late
			continue
		}
		t.rule = &set.Rules[rule-1]
		t.from = rules.Instant(bucket * bucketNs(t.rule))
		t.amount, t.earliest = int64(amount), rules.Instant(earliest)
		slice.touches = append(slice.touches, t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is new in cut %d: %w", last.Number, err)
	}
	if first := &slices[0]; told.Number > 0 && first.events > 0 && grown(told, &cuts[0]) {
		known, err := countKnown(ctx, conn, told, &cuts[0])
		if err != nil {
			return nil, err
		}
		first.events -= known
		first.late -= min(first.late, known)
	}
	return slices, nil
}

// readSlice is readSlices of one cut.
func readSlice(ctx context.Context, conn driver.Conn, set *rules.Ruleset, told, cut *rules.Cut) (fresh, error) {
	slices, err := readSlices(ctx, conn, set, told, []rules.Cut{*cut})
	if err != nil {
		return fresh{}, err
	}
	return slices[0], nil
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
// alone, so no text of the ruleset gets into the statement. The number of the cut,
// from 0, is how many cuts end at or before the event.
func sliceSQL(q *query, set *rules.Ruleset, told *rules.Cut, cuts []rules.Cut) string {
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
	late := "0"
	if told.Number > 0 {
		late = "instant_ns < " + q.instant(told.Through)
	}
	// The array is joined in a query of its own: an alias that is used several times
	// is analyzed as often, and that took longer than reading the events.
	ends := make([]string, 0, len(cuts))
	for i := range cuts[:len(cuts)-1] {
		ends = append(ends, "(instant_ns >= "+q.instant(cuts[i].Through)+")")
	}
	cut := "toInt32(0)"
	if len(ends) > 0 {
		cut = "toInt32(" + strings.Join(ends, " + ") + ")"
	}
	return `SELECT
    ` + cut + ` AS cut,
    rule,
    multiIf(` + in(hours) + `, intDiv(instant_ns, 3600000000000), ` + in(minutes) + `, intDiv(instant_ns, 60000000000), toInt64(0)) AS bucket,
    multiIf(` + in(regions) + `, concat('region:', region), ` + in(servers) + `, concat('server:', server), 'world') AS scope,
    multiIf(` + in(players) + `, player, ` + in(guilds) + `, guild, '') AS subject,
    toUInt64(least(sum(toUInt128(` + amount + `)), 4611686018427387904)) AS total,
    min(instant_ns - err_ns) AS earliest,
    count() AS touched,
    uniqExactIf(sipHash128(server, id), rule = 0) AS events,
    uniqExactIf(sipHash128(server, id), rule = 0 AND ` + late + `) AS events_late
FROM
(
    SELECT
        *,
        arrayJoin(arrayFilter(n -> n >= 0, [` + strings.Join(matches, ",\n            ") + `])) AS rule
    FROM event_log
    WHERE ` + q.slice(told, &cuts[len(cuts)-1]) + `
)
GROUP BY cut, rule, bucket, scope, subject
ORDER BY cut, rule, bucket, scope, subject`
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
