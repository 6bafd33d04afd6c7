package evidence

import (
	"context"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// Scores returns the exact scores of every subject that can be on the board. Tallies,
// which may only err upward, name the candidates: those that can have more than the
// last line of the board, once that is known exactly. Where the least leads a tally says
// nothing, and everybody is read.
func (r *Reader) Scores(ctx context.Context, c rules.Contest, cut *rules.Cut) ([]rules.Score, error) {
	var scores []rules.Score
	done := map[string]bool{}
	for limit := 2*c.Rule.Top + 50; ; limit *= 4 {
		candidates, least, err := r.candidates(ctx, c, limit)
		if err != nil {
			return nil, err
		}
		exhausted := len(candidates) < limit
		candidates = slices.DeleteFunc(candidates, func(s string) bool { return done[s] })
		slices.Sort(candidates)
		err = r.gather(ctx, cut, []wanted{{c, candidates}}, func(_ int, subject string, records []rules.Record) {
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
		if exhausted || c.Rule.Order != rules.OrderAsc && leastOnBoard(scores, c.Rule.Top).Compare(least) > 0 {
			return scores, nil
		}
	}
}

// leastOnBoard returns the score of the last of the top lines, or 0 where there are
// fewer.
func leastOnBoard(scores []rules.Score, top int) rules.Amount {
	if len(scores) < top {
		return rules.Amount{}
	}
	values := make([]rules.Amount, len(scores))
	for i, s := range scores {
		values[i] = s.Score
	}
	slices.SortFunc(values, rules.Amount.Compare)
	return values[len(values)-top]
}

// candidates returns the subjects with the highest tallies, at most limit, and the
// lowest of these.
func (r *Reader) candidates(ctx context.Context, c rules.Contest, limit int) ([]string, rules.Amount, error) {
	q := &query{}
	statement := `SELECT subject, toString(sum(total) AS most)
FROM
(
    SELECT subject, member, value, argMax(total, cut) AS total
    FROM tallies
    WHERE ` + q.tally(c) + `
    GROUP BY subject, member, value
)
GROUP BY subject
ORDER BY sum(total) DESC, subject
LIMIT ` + q.uint(uint64(limit))
	var subjects []string
	var least rules.Amount
	err := r.each(ctx, "find the candidates of rule "+c.Rule.ID, statement, q.args, func(rows driver.Rows) error {
		var subject, most string
		if err := rows.Scan(&subject, &most); err != nil {
			return err
		}
		subjects = append(subjects, subject)
		var err error
		least, err = rules.ParseAmount(most)
		return err
	})
	return subjects, least, err
}

// Sale is a sale whose purchase attempts are asked for.
type Sale struct {
	rules.Contest
	Since uint64   // the first cut whose touches it has not been settled with, or Everybody
	Line  []string // whose attempts wait
}

// Attempts returns, for each sale, the purchase attempts of everybody who has asked, or
// of those who asked since a cut, from it on, and of those in its line.
func (r *Reader) Attempts(ctx context.Context, sales []Sale, cut *rules.Cut) ([][]rules.Record, error) {
	wants := make([]wanted, len(sales))
	byKey := map[string][]int{}
	since := cut.Number
	q := &query{}
	var some []string
	for i, s := range sales {
		if wants[i] = (wanted{s.Contest, slices.Clone(s.Line)}); s.Since == Everybody {
			q := &query{}
			err := r.each(ctx, "find the buyers of rule "+s.Rule.ID, "SELECT DISTINCT subject FROM tallies WHERE "+q.tally(s.Contest), q.args, func(rows driver.Rows) error {
				var subject string
				err := rows.Scan(&subject)
				wants[i].subjects = append(wants[i].subjects, subject)
				return err
			})
			if err != nil {
				return nil, err
			}
			continue
		}
		since = min(since, s.Since)
		some = append(some, q.tallyKey(s.Contest))
		byKey[keyOf(s.Contest)] = append(byKey[keyOf(s.Contest)], i)
	}
	for part := range slices.Chunk(some, contestsPerQuery) {
		statement := "SELECT DISTINCT " + tallyKey + ", subject FROM touches WHERE cut BETWEEN " + q.uint(since) + " AND " + q.uint(cut.Number) +
			" AND (" + tallyKey + ") IN (" + strings.Join(part, ", ") + ")"
		err := r.each(ctx, "find the buyers of sales", statement, q.args, func(rows driver.Rows) error {
			key, subject, err := scanTallyKey(rows)
			for _, i := range byKey[key] {
				wants[i].subjects = append(wants[i].subjects, subject)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range wants {
		slices.Sort(wants[i].subjects)
		wants[i].subjects = slices.Compact(wants[i].subjects)
	}
	attempts := make([][]rules.Record, len(sales))
	err := r.gather(ctx, cut, wants, func(i int, _ string, records []rules.Record) { attempts[i] = append(attempts[i], records...) })
	return attempts, err
}

// Fresh returns, for each contest, the records of identities that are new in the cut and
// count in it.
func (r *Reader) Fresh(ctx context.Context, contests []rules.Contest, prev, cut *rules.Cut) ([][]rules.Record, error) {
	fresh := make([][]rules.Record, len(contests))
	for i, c := range contests {
		q := &query{}
		statement := "SELECT " + recordColumns + " FROM (" + q.slice("*", prev, cut) + ") WHERE " + q.matches(c.Rule) + " AND " + q.inScope(c.Scope) + " AND " + q.near(c.Window)
		var rows []rules.Record
		err := r.each(ctx, "read what is new for rule "+c.Rule.ID, statement, q.args, func(rs driver.Rows) error {
			rec, err := scanRecord(rs)
			rows = append(rows, rec)
			return err
		})
		if err != nil {
			return nil, err
		}
		if rows, err = r.without(ctx, prev, rows); err != nil {
			return nil, err
		}
		if rows, err = r.unique(ctx, cut, rows); err != nil {
			return nil, err
		}
		fresh[i] = slices.DeleteFunc(rows, func(rec rules.Record) bool {
			of, ok := c.Rule.ContestOf(&rec)
			return !ok || of != c
		})
	}
	return fresh, nil
}

// without leaves out the rows of identities that the cut held.
func (r *Reader) without(ctx context.Context, prev *rules.Cut, rows []rules.Record) ([]rules.Record, error) {
	if prev.Number == 0 || len(rows) == 0 {
		return rows, nil
	}
	byServer := map[string][]string{}
	var servers []string
	for i := range rows {
		if byServer[rows[i].Server] == nil {
			servers = append(servers, rows[i].Server)
		}
		byServer[rows[i].Server] = append(byServer[rows[i].Server], rows[i].ID)
	}
	known := map[rules.Identity]bool{}
	for _, server := range servers {
		for some := range slices.Chunk(byServer[server], 10*subjectsPerQuery) {
			q := &query{}
			statement := "SELECT id FROM identities WHERE server = " + q.text(server) + " AND id IN " + q.texts(some) + " AND " + q.within(prev) + " GROUP BY id"
			err := r.each(ctx, "look for known events", statement, q.args, func(rs driver.Rows) error {
				i := rules.Identity{Server: server}
				err := rs.Scan(&i.ID)
				known[i] = true
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(rows, func(rec rules.Record) bool { return known[rec.Identity()] }), nil
}

// Subject returns all records that count for a rule and subject, in any window, and how
// many further rows each identity has.
func (r *Reader) Subject(ctx context.Context, rule *rules.Rule, cut *rules.Cut, subject string) ([]rules.Record, map[rules.Identity]int, error) {
	q := &query{}
	statement := "SELECT " + recordColumns + "\nFROM event_log\nWHERE " + rule.Subject + " = " + q.text(subject) + " AND " + q.matches(rule) + " AND " + q.within(cut)
	var rows []rules.Record
	copies := map[rules.Identity]int{}
	err := r.each(ctx, "read the events of "+subject, statement, q.args, func(rs driver.Rows) error {
		rec, err := scanRecord(rs)
		rows = append(rows, rec)
		copies[rec.Identity()]++
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	unique, err := r.unique(ctx, cut, rows)
	if err != nil {
		return nil, nil, err
	}
	return slices.DeleteFunc(unique, func(rec rules.Record) bool { return !rule.Match(&rec.Event) }), copies, nil
}
