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

// records returns one record for each identity that counts in the contest, of all
// subjects if subjects is nil.
func (l *logReader) records(ctx context.Context, c rules.Contest, subjects []string) ([]rules.Record, error) {
	q := &query{}
	statement := "SELECT " + recordColumns + "\nFROM event_log\nWHERE " + l.contest(q, c)
	if subjects != nil {
		statement += " AND " + c.Rule.Subject + " IN " + q.texts(subjects)
	}
	statement += "\nORDER BY server, id, err_ns, node, offset"
	rows, err := l.conn.Query(ctx, statement, q.args...)
	if err != nil {
		return nil, fmt.Errorf("read the evidence of rule %s: %w", c.Rule.ID, err)
	}
	defer rows.Close()
	var records []rules.Record
	for rows.Next() {
		r, err := scanRecord(rows)
		if err != nil {
			return nil, fmt.Errorf("read the evidence of rule %s: %w", c.Rule.ID, err)
		}
		records = append(records, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the evidence of rule %s: %w", c.Rule.ID, err)
	}
	return slices.DeleteFunc(rules.Unique(records, l.conflicts), func(r rules.Record) bool {
		return !c.Rule.Match(&r.Event) || !c.Window.Contains(r.Instant) || c.Rule.ScopeOf(&r.Event) != c.Scope
	}), nil
}

func (l *logReader) contest(q *query, c rules.Contest) string {
	return q.within(l.cut) + " AND " + q.contest(c)
}

// bySubject calls each with the records of every subject, subjects in order.
func (l *logReader) bySubject(ctx context.Context, c rules.Contest, subjects []string, each func(string, []rules.Record)) error {
	sorted := slices.Sorted(slices.Values(subjects))
	for some := range slices.Chunk(sorted, subjectsPerQuery) {
		records, err := l.records(ctx, c, some)
		if err != nil {
			return err
		}
		slices.SortStableFunc(records, func(a, b rules.Record) int {
			return strings.Compare(c.Rule.SubjectOf(&a.Event), c.Rule.SubjectOf(&b.Event))
		})
		for start := 0; start < len(records); {
			end := start + 1
			for end < len(records) && c.Rule.SubjectOf(&records[end].Event) == c.Rule.SubjectOf(&records[start].Event) {
				end++
			}
			each(c.Rule.SubjectOf(&records[start].Event), records[start:end])
			start = end
		}
	}
	return nil
}

// scores returns the exact scores of every subject that can be on the board. Plain
// counts, which may only err upward, name the candidates: those that can have more
// than the last line of the board, once that is known exactly.
func (l *logReader) scores(ctx context.Context, c rules.Contest) ([]rules.Score, error) {
	limit := 2*c.Rule.Top + 50
	var scores []rules.Score
	done := map[string]bool{}
	for {
		candidates, least, err := l.candidates(ctx, c, limit)
		if err != nil {
			return nil, err
		}
		exhausted := len(candidates) < limit
		candidates = slices.DeleteFunc(candidates, func(s string) bool { return done[s] })
		err = l.bySubject(ctx, c, candidates, func(subject string, records []rules.Record) {
			if s, ok := c.Rule.Score(subject, records); ok {
				scores = append(scores, s)
			}
		})
		if err != nil {
			return nil, err
		}
		for _, s := range candidates {
			done[s] = true
		}
		if exhausted || c.Rule.Order == rules.OrderDesc && leastOnBoard(scores, c.Rule.Top) > least {
			return scores, nil
		}
		limit *= 4
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
		")), 4611686018427387904)) AS most\nFROM event_log\nWHERE " + l.contest(q, c) +
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
