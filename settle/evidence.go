package settle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// subjectsPerQuery bounds how many subjects' events are in memory at once.
const subjectsPerQuery = 500

// logReader reads exact evidence of one cut.
type logReader struct {
	conn      driver.Conn
	cut       *rules.Cut
	conflicts map[rules.Identity]rules.Content
}

// recordColumns are the columns of rules.Record, in the order that scanRecord takes.
const recordColumns = `node, offset, content, server, region, id, type, at_ns, seq, instant_ns, err_ns,
    player, guild, target, sku, count, price_minor, currency, attrs`

func scanRecord(rows driver.Rows) (rules.Record, error) {
	var r rules.Record
	var content string
	var at, instant int64
	err := rows.Scan(&r.Node, &r.Offset, &content, &r.Server, &r.Region, &r.ID, &r.Type, &at, &r.Seq, &instant, &r.ErrNs,
		&r.Player, &r.Guild, &r.Target, &r.SKU, &r.Count, &r.Price.Amount, &r.Price.Currency, &r.Attrs)
	r.At, r.Instant = rules.Instant(at), rules.Instant(instant)
	copy(r.Content[:], content)
	return r, err
}

// want asks for the records that count in a contest: of the subjects, or of all if
// subjects is nil.
type want struct {
	*contest
	subjects []string
}

// read returns, for each want, one record for each identity that counts in it, by
// (server, ID). All are read in one query, since a query costs more than its rows.
func (l *logReader) read(ctx context.Context, wants []want) ([][]rules.Record, error) {
	return l.readAmong(ctx, wants, func(q *query) string { return q.within(l.cut) })
}

// readAmong is read of the identities that have a row for which among holds. A row
// may lie in the window although the copy whose time is known best does not, so the
// rows only name the identities, and all copies of these are read.
func (l *logReader) readAmong(ctx context.Context, wants []want, among func(*query) string) ([][]rules.Record, error) {
	q := &query{}
	contents, contests := make([]string, len(wants)), make([]string, len(wants))
	for i, w := range wants {
		subjects := ""
		if w.subjects != nil {
			subjects = " AND " + w.Rule.Subject + " IN " + q.texts(w.subjects)
		}
		contents[i] = "(" + q.matches(w.Rule) + subjects + ")"
		contests[i] = "(" + q.contest(w.Contest) + subjects + ")"
	}
	either := func(parts []string) string { return "(" + strings.Join(parts, "\n    OR ") + ")" }
	rows, err := l.conn.Query(ctx, "SELECT "+recordColumns+"\nFROM event_log\nWHERE "+q.within(l.cut)+" AND "+either(contents)+
		" AND (server, id) IN\n(\n    SELECT server, id FROM event_log WHERE "+among(q)+" AND "+either(contests)+
		"\n)\nORDER BY server, id, err_ns, node, offset", q.args...)
	if err != nil {
		return nil, fmt.Errorf("read the evidence of cut %d: %w", l.cut.Number, err)
	}
	defer rows.Close()
	var records []rules.Record
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, fmt.Errorf("read the evidence of cut %d: %w", l.cut.Number, err)
		}
		records = append(records, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the evidence of cut %d: %w", l.cut.Number, err)
	}
	unique := rules.Unique(records, l.conflicts)
	counting := make([][]rules.Record, len(wants))
	for i, w := range wants {
		counting[i] = w.choose(unique)
	}
	return counting, nil
}

// countTooLate counts the events that are new in the cut and count in contests that
// nothing changes any more, once for each of these.
func (l *logReader) countTooLate(ctx context.Context, told *rules.Cut, closed []*contest) (uint64, error) {
	n := uint64(0)
	for some := range slices.Chunk(closed, wantsPerQuery) {
		wants := make([]want, len(some))
		for i, c := range some {
			wants[i] = want{c, nil}
		}
		records, err := l.readAmong(ctx, wants, func(q *query) string {
			slice := q.slice(told, l.cut)
			return slice + " AND (server, id) NOT IN (SELECT server, id FROM event_log WHERE " + q.within(told) +
				" AND (server, id) IN (SELECT server, id FROM event_log WHERE " + slice + "))"
		})
		if err != nil {
			return 0, err
		}
		for _, of := range records {
			n += uint64(len(of))
		}
	}
	return n, nil
}

// choose returns those of the records that count for the want.
func (w want) choose(records []rules.Record) []rules.Record {
	var chosen []rules.Record
	for i := range records {
		r := &records[i]
		if w.Rule.Match(&r.Event) && w.Window.Contains(r.Instant) && w.Rule.ScopeOf(&r.Event) == w.Scope {
			if _, asked := slices.BinarySearch(w.subjects, w.Rule.SubjectOf(&r.Event)); asked || w.subjects == nil {
				chosen = append(chosen, *r)
			}
		}
	}
	return chosen
}

// bySubject splits records of a rule by subject and calls each, subjects in order.
func bySubject(r *rules.Rule, records []rules.Record, each func(string, []rules.Record)) {
	subject := func(i int) string { return r.SubjectOf(&records[i].Event) }
	slices.SortStableFunc(records, func(a, b rules.Record) int {
		return strings.Compare(r.SubjectOf(&a.Event), r.SubjectOf(&b.Event))
	})
	for start := 0; start < len(records); {
		end := start + 1
		for end < len(records) && subject(end) == subject(start) {
			end++
		}
		each(subject(start), records[start:end])
		start = end
	}
}

// scores returns the exact scores of every subject that can be on the board. Plain
// counts, which may only err upward, name the candidates: those that can have more
// than the last line of the board, once that is known exactly.
func (l *logReader) scores(ctx context.Context, c *contest) ([]rules.Score, error) {
	var scores []rules.Score
	done := map[string]bool{}
	for limit := 2*c.Rule.Top + 50; ; limit *= 4 {
		candidates, least, err := l.candidates(ctx, c.Contest, limit)
		if err != nil {
			return nil, err
		}
		exhausted := len(candidates) < limit
		candidates = slices.DeleteFunc(candidates, func(s string) bool { return done[s] })
		slices.Sort(candidates)
		for some := range slices.Chunk(candidates, subjectsPerQuery) {
			records, err := l.read(ctx, []want{{c, some}})
			if err != nil {
				return nil, err
			}
			bySubject(c.Rule, records[0], func(subject string, records []rules.Record) {
				if s, ok := c.Rule.Score(subject, records); ok {
					scores = append(scores, s)
				}
			})
		}
		for _, s := range candidates {
			done[s] = true
		}
		if exhausted || c.Rule.Order == rules.OrderDesc && leastOnBoard(scores, c.Rule.Top) > least {
			return scores, nil
		}
	}
}

// leastOnBoard returns the score of the last of the top lines, or -1 where there
// are fewer.
func leastOnBoard(scores []rules.Score, top int) int64 {
	if len(scores) < top {
		return -1
	}
	values := make([]int64, len(scores))
	for i, s := range scores {
		values[i] = s.Score
	}
	slices.Sort(values)
	return values[len(values)-top]
}

// candidates returns the subjects with the highest possible scores, at most limit,
// and the lowest of these.
func (l *logReader) candidates(ctx context.Context, c rules.Contest, limit int) ([]string, int64, error) {
	q := &query{}
	statement := "SELECT " + c.Rule.Subject + " AS subject, toUInt64(least(sum(toUInt128(" + q.amount(c.Rule.Measure) +
		")), 4611686018427387904)) AS most\nFROM event_log\nWHERE " + q.within(l.cut) + " AND " + q.contest(c) +
		"\nGROUP BY subject\nORDER BY most DESC, subject\nLIMIT " + q.uint(uint64(limit))
	rows, err := l.conn.Query(ctx, statement, q.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("read the candidates of rule %s: %w", c.Rule.ID, err)
	}
	defer rows.Close()
	var subjects []string
	var most uint64
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject, &most); err != nil {
			return nil, 0, fmt.Errorf("read the candidates of rule %s: %w", c.Rule.ID, err)
		}
		subjects = append(subjects, subject)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read the candidates of rule %s: %w", c.Rule.ID, err)
	}
	return subjects, int64(most), nil
}
