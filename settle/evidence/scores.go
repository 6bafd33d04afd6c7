package evidence

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// Scores returns, for each contest, the exact scores of every subject that can be on its
// board. Tallies, which may only err upward, name the candidates: those that can have
// more than the last line of the board, once that is known exactly. Where the least leads
// a tally says nothing, and everybody is read. trusted are the same scores without what the
// contest doubts; nil where it doubts nothing.
func (r *Reader) Scores(ctx context.Context, contests []rules.Contest, standings []*rules.Standing, cut *rules.Cut) (scores, trusted [][]rules.Score, err error) {
	scores, trusted = make([][]rules.Score, len(contests)), make([][]rules.Score, len(contests))
	doubts := make([]bool, len(contests))
	done := make([]map[string]bool, len(contests))
	open := make([]int, len(contests))
	for i := range contests {
		done[i], open[i] = map[string]bool{}, i
	}
	for round := 1; len(open) > 0; round *= 4 {
		wants := make([]wanted, len(contests))
		ends := make([]candidates, len(contests))
		for _, part := range alike(contests, open) {
			top := contests[part[0]].Rule.Top
			limit := round * (top + top/8 + 10) // more where copies make tallies too high
			if err := r.candidates(ctx, contests, part, limit, ends); err != nil {
				return nil, nil, err
			}
			for _, i := range part {
				ends[i].exhausted = len(ends[i].subjects) < limit
			}
		}
		for _, i := range open {
			fresh := slices.DeleteFunc(ends[i].subjects, func(s string) bool { return done[i][s] })
			slices.Sort(fresh)
			wants[i] = wanted{Contest: contests[i], subjects: fresh}
			for _, s := range fresh {
				done[i][s] = true
			}
		}
		err := r.gather(ctx, cut, wants, func(i int, subject string, records []rules.Record) error {
			s, ok := contests[i].Rule.Score(subject, records)
			if ok {
				scores[i] = append(scores[i], s)
			}
			part, doubted, err := r.trusted(ctx, contests[i], standings[i], subject, records)
			if doubts[i] = doubts[i] || doubted; doubted {
				s, ok = contests[i].Rule.Score(subject, part)
			}
			if ok {
				trusted[i] = append(trusted[i], s)
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		open = slices.DeleteFunc(open, func(i int) bool {
			rule := contests[i].Rule
			return ends[i].exhausted || rule.Order != rules.OrderAsc && leastOnBoard(trusted[i], rule.Top).Compare(ends[i].least) > 0
		})
	}
	for i := range trusted {
		switch {
		case !doubts[i]:
			trusted[i] = nil
		case trusted[i] == nil:
			trusted[i] = []rules.Score{}
		}
	}
	return scores, trusted, nil
}

// alike splits numbers of contests into those that one statement asks about: with boards
// of one length, and tallies of one row a subject or of several.
func alike(contests []rules.Contest, numbers []int) [][]int {
	compare := func(a, b int) int {
		return cmp.Or(cmp.Compare(contests[a].Rule.Top, contests[b].Rule.Top), cmp.Compare(parts(contests[a].Rule), parts(contests[b].Rule)))
	}
	sorted := slices.SortedStableFunc(slices.Values(numbers), compare)
	var alike [][]int
	for start := 0; start < len(sorted); {
		end := start + 1
		for end < len(sorted) && end-start < contestsPerQuery && compare(sorted[end], sorted[start]) == 0 {
			end++
		}
		alike = append(alike, sorted[start:end])
		start = end
	}
	return alike
}

// parts returns 1 where a subject's tally is the sum of several rows, else 0.
func parts(rule *rules.Rule) int {
	if rule.Subject == rules.SubjectGuild || rule.Measure.Kind == rules.MeasureDistinct {
		return 1
	}
	return 0
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

// candidates are the subjects of a contest with the highest tallies, and the lowest of
// these.
type candidates struct {
	subjects  []string
	least     rules.Amount
	exhausted bool // there are no others
}

// candidates fills found for the contests of some numbers, each with at most limit.
func (r *Reader) candidates(ctx context.Context, contests []rules.Contest, numbers []int, limit int, found []candidates) error {
	q := &query{}
	var keys []string
	byKey := map[string][]int{}
	for _, i := range numbers {
		keys = append(keys, q.tallyKey(contests[i]))
		byKey[keyOf(contests[i])] = append(byKey[keyOf(contests[i])], i)
	}
	total, group := "total", ""
	if parts(contests[numbers[0]].Rule) > 0 {
		total, group = "sum(total)", "\nGROUP BY "+tallyKey+", subject"
	}
	// FINAL merges rows in the table's order, which takes a tenth of what grouping does.
	statement := `SELECT ` + tallyKey + `, subject, toString(` + total + `)
FROM tallies FINAL
WHERE (` + tallyKey + `) IN (` + strings.Join(keys, ", ") + `)` + group + `
ORDER BY ` + tallyKey + `, ` + total + ` DESC, subject
LIMIT ` + q.uint(uint64(limit)) + ` BY ` + tallyKey
	return r.each(ctx, "find the candidates of boards", statement, q.args, func(rows driver.Rows) error {
		var most string
		key, subject, err := scanTallyKey(rows, &most)
		if err != nil {
			return err
		}
		least, err := rules.ParseAmount(most)
		for _, i := range byKey[key] {
			found[i].subjects, found[i].least = append(found[i].subjects, subject), least
		}
		return err
	})
}

// Sale is a sale whose purchase attempts are asked for.
type Sale struct {
	rules.Contest
	Since uint64   // the first cut whose touches it has not been settled with, or Everybody
	Line  []string // whose attempts wait

	Standing *rules.Standing // what it doubts depends on that
}

// Attempts returns, for each sale, the purchase attempts of everybody who has asked, or
// of those who asked since a cut, from it on, and of those in its line. trusted are the
// same without those that the sale doubts; nil where it doubts none.
func (r *Reader) Attempts(ctx context.Context, sales []Sale, cut *rules.Cut) (attempts, trusted [][]rules.Record, err error) {
	wants := make([]wanted, len(sales))
	byKey := map[string][]int{}
	since := cut.Number
	q := &query{}
	var some []string
	for i, s := range sales {
		if wants[i] = (wanted{Contest: s.Contest, subjects: slices.Clone(s.Line)}); s.Since == Everybody {
			q := &query{}
			err := r.each(ctx, "find the buyers of rule "+s.Rule.ID, "SELECT DISTINCT subject FROM tallies WHERE "+q.tally(s.Contest), q.args, func(rows driver.Rows) error {
				var subject string
				err := rows.Scan(&subject)
				wants[i].subjects = append(wants[i].subjects, subject)
				return err
			})
			if err != nil {
				return nil, nil, err
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
			return nil, nil, err
		}
	}
	for i := range wants {
		slices.Sort(wants[i].subjects)
		wants[i].subjects = slices.Compact(wants[i].subjects)
	}
	attempts, trusted = make([][]rules.Record, len(sales)), make([][]rules.Record, len(sales))
	doubts := make([]bool, len(sales))
	err = r.gather(ctx, cut, wants, func(i int, player string, records []rules.Record) error {
		part, doubted, err := r.trusted(ctx, sales[i].Contest, sales[i].Standing, player, records)
		attempts[i], trusted[i], doubts[i] = append(attempts[i], records...), append(trusted[i], part...), doubts[i] || doubted
		return err
	})
	for i := range trusted {
		if !doubts[i] {
			trusted[i] = nil
		} else if trusted[i] == nil {
			trusted[i] = []rules.Record{}
		}
	}
	return attempts, trusted, err
}

// Fresh returns, for each contest, the records of identities that are new in the cut and
// count in it.
func (r *Reader) Fresh(ctx context.Context, contests []rules.Contest, prev, cut *rules.Cut) ([][]rules.Record, error) {
	fresh := make([][]rules.Record, len(contests))
	for i, c := range contests {
		q := &query{}
		scan := wholeRecords()
		statement := "SELECT " + scan.columns + " FROM (" + q.slice("*", prev, cut) + ") WHERE " + q.matches(c.Rule) + " AND " + q.inScope(c.Scope) + " AND " + q.near(c.Window)
		var rows []*rules.Record
		err := r.each(ctx, "read what is new for rule "+c.Rule.ID, statement, q.args, func(rs driver.Rows) error {
			rec, err := scan.record(rs)
			rows = append(rows, rec)
			return err
		})
		if err != nil {
			return nil, err
		}
		if rows, err = r.without(ctx, prev, rows); err != nil {
			return nil, err
		}
		counts, err := r.counting(ctx, cut, playersOf(rows))
		if err != nil {
			return nil, err
		}
		if rows, err = r.unique(ctx, rows, counts); err != nil {
			return nil, err
		}
		w := wanted{Contest: c}
		fresh[i] = w.counted(rows)
	}
	return fresh, nil
}

// without leaves out the rows of identities that the cut held.
func (r *Reader) without(ctx context.Context, prev *rules.Cut, rows []*rules.Record) ([]*rules.Record, error) {
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
	return slices.DeleteFunc(rows, func(rec *rules.Record) bool { return known[rec.Identity()] }), nil
}

// Subject returns the evidence about a subject under a rule, as a cut bounds it.
func (r *Reader) Subject(ctx context.Context, rule *rules.Rule, cut *rules.Cut, subject string) (*OfSubject, error) {
	q := &query{}
	scan := wholeRecords()
	statement := "SELECT " + scan.columns + "\nFROM event_log\nWHERE " + rule.Subject + " = " + q.text(subject) + " AND " + q.matches(rule) + " AND " + q.within(cut)
	var rows []*rules.Record
	of := &OfSubject{Copies: map[rules.Identity]int{}}
	err := r.each(ctx, "read the events of "+subject, statement, q.args, func(rs driver.Rows) error {
		rec, err := scan.record(rs)
		if err != nil {
			return err
		}
		rows = append(rows, rec)
		of.Copies[rec.Identity()]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts, err := r.counting(ctx, cut, playersOf(rows))
	if err != nil {
		return nil, err
	}
	said := map[rules.Identity]bool{}
	for _, rec := range rows {
		content, conflict := counts[rec.Identity()]
		if !conflict || said[rec.Identity()] || !rule.Match(&rec.Event) {
			continue
		}
		said[rec.Identity()] = true
		of.Conflicts = append(of.Conflicts, rules.Conflict{Identity: rec.Identity(), Counts: content})
		if !slices.ContainsFunc(rows, func(other *rules.Record) bool { return other.Identity() == rec.Identity() && other.Content == content }) {
			of.Rivals = append(of.Rivals, *rec)
		}
	}
	slices.SortFunc(of.Conflicts, func(a, b rules.Conflict) int { return a.Compare(b.Identity) })
	unique, err := r.unique(ctx, rows, counts)
	if err != nil {
		return nil, err
	}
	for _, rec := range unique {
		if rule.Match(&rec.Event) {
			of.Records = append(of.Records, *rec)
		}
	}
	return of, nil
}

// OfSubject is the evidence about a subject.
type OfSubject struct {
	Records   []rules.Record         // that count, one of each identity
	Rivals    []rules.Record         // that would count, had their identity not another content that does; one of each
	Copies    map[rules.Identity]int // rows of each identity
	Conflicts []rules.Conflict       // the identities that came with other content too, by identity; Players is not read
}
