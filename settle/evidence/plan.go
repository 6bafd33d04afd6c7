package evidence

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// Log answers what a plan asks of the merged log; see package hour.
// It remembers answers, since a run plans from one reading.
type Log struct {
	ctx    context.Context //nolint:containedctx // a plan is pure: what it asks carries the context of the run that asks
	reader *Reader
	busy   *busyPeriods
}

// busyPeriods are the periods that hold events, from one instant to another.
type busyPeriods struct {
	from, to rules.Instant
	period   time.Duration
	starts   []rules.Instant
}

// Log returns the log as a plan asks for it, for one run and the time of ctx.
func (r *Reader) Log(ctx context.Context) *Log { return &Log{ctx: ctx, reader: r} }

// First returns the instant of the first event.
func (l *Log) First(lines []rules.NodeLine) (rules.Instant, bool, error) {
	q := &query{}
	var first int64
	var n uint64
	err := l.reader.each(l.ctx, "find the first event", "SELECT count(), min(instant_ns) FROM arrivals WHERE "+q.lines(lines, nil), q.args,
		func(rows driver.Rows) error { return rows.Scan(&n, &first) })
	return rules.Instant(first), n > 0, err
}

// Busy returns the starts of the periods that hold an event.
func (l *Log) Busy(lines []rules.NodeLine, from, to rules.Instant, period time.Duration) ([]rules.Instant, error) {
	if b := l.busy; b != nil && b.from <= from && b.to == to && b.period == period {
		i, _ := slices.BinarySearch(b.starts, from)
		return b.starts[i:], nil
	}
	q := &query{}
	statement := "SELECT DISTINCT intDiv(instant_ns, " + strconv.FormatInt(int64(period), 10) + ") AS period\nFROM arrivals\nWHERE " + q.lines(lines, nil) +
		" AND instant_ns >= " + q.instant(from) + " AND instant_ns < " + q.instant(to) + "\nORDER BY period"
	var starts []rules.Instant
	err := l.reader.each(l.ctx, "find the periods that hold events", statement, q.args, func(rows driver.Rows) error {
		var n int64
		err := rows.Scan(&n)
		starts = append(starts, rules.Instant(n)*rules.Instant(period))
		return err
	})
	if err == nil {
		l.busy = &busyPeriods{from, to, period, starts}
	}
	return starts, err
}

// Late reports whether an identity that happened before the last cut's end is new.
func (l *Log) Late(last *rules.Cut, lines []rules.NodeLine) (bool, error) {
	q := &query{}
	fresh := rules.Cut{Number: last.Number + 1, Through: last.Through, Nodes: lines}
	statement := `SELECT count()
FROM
(
    SELECT server, id
    FROM identities
    WHERE ` + q.within(&fresh) + ` AND (server, id) IN (SELECT server, id FROM (` + q.slice("server, id", last, &fresh) + `))
    GROUP BY server, id
    HAVING max(` + q.within(last) + `) = 0
    LIMIT 1
)`
	var n uint64
	err := l.reader.each(l.ctx, "look for late events", statement, q.args, func(rows driver.Rows) error { return rows.Scan(&n) })
	return n > 0, err
}

// Hole returns the first offsets that are missing.
func (l *Log) Hole(node string, after, upTo uint64, skip []rules.Span) (hole rules.Span, found bool, err error) {
	want := upTo - after
	skip = disjoint(skip)
	q := &query{}
	where := "node = " + q.text(node) + " AND offset > " + q.uint(after) + " AND offset <= " + q.uint(upTo)
	for _, s := range skip {
		if first, last := max(s.First, after+1), min(s.Last, upTo); first <= last {
			want -= last - first + 1
		}
		where += " AND NOT (offset BETWEEN " + q.uint(s.First) + " AND " + q.uint(s.Last) + ")"
	}
	var there uint64
	err = l.reader.each(l.ctx, "look for holes of node "+node, "SELECT uniqExact(offset) FROM arrivals WHERE "+where, q.args,
		func(rows driver.Rows) error { return rows.Scan(&there) })
	if err != nil || there == want {
		return rules.Span{}, false, err
	}
	return l.firstHole(node, after, upTo, skip, where, q)
}

// disjoint returns spans that cover the same offsets, each once.
func disjoint(spans []rules.Span) []rules.Span {
	spans = slices.SortedFunc(slices.Values(spans), func(a, b rules.Span) int { return cmp.Compare(a.First, b.First) })
	var all []rules.Span
	for _, s := range spans {
		if last := len(all) - 1; last >= 0 && s.First <= all[last].Last {
			all[last].Last = max(all[last].Last, s.Last)
		} else {
			all = append(all, s)
		}
	}
	return all
}

// firstHole finds the ends of a hole that is known to be there: the first offset that
// is neither there nor skipped, and the last before the next that is.
func (l *Log) firstHole(node string, after, upTo uint64, skip []rules.Span, where string, q *query) (hole rules.Span, found bool, err error) {
	skipped := "arrayJoin(arrayConcat([toUInt64(" + q.uint(upTo+1) + ")]"
	for _, s := range skip {
		if first, last := max(s.First, after+1), min(s.Last, upTo); first <= last {
			skipped += ", range(toUInt64(" + q.uint(first) + "), toUInt64(" + q.uint(last+1) + "))"
		}
	}
	statement := `SELECT toUInt64(previous + 1), toUInt64(offset - 1)
FROM
(
    SELECT offset, lagInFrame(offset, 1, toUInt64(` + q.uint(after) + `)) OVER (ORDER BY offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
    FROM
    (
        SELECT DISTINCT offset FROM arrivals WHERE ` + where + `
        UNION DISTINCT
        SELECT ` + skipped + `)) AS offset
    )
)
WHERE offset > previous + 1
ORDER BY offset
LIMIT 1`
	err = l.reader.each(l.ctx, "look for holes of node "+node, statement, q.args, func(rows driver.Rows) error {
		found = true
		return rows.Scan(&hole.First, &hole.Last)
	})
	return hole, found, err
}
