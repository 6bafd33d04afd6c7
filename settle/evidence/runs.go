package evidence

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// known is a claim as an earlier cut has read it.
type known struct {
	subject          string
	earliest, latest rules.Instant
}

// Everybody is since when contests are asked about that have not been settled by their
// rule before.
const Everybody = 1

// Runs returns the claims that can matter in a contest at the cut: of a world_first all
// that its places and runners-up can be decided from, of an achievement those of
// subjects that were touched since a cut, from it on, by subject, at most as many as one
// cut awards. It notes what it has read, so that it need not be read again.
func (r *Reader) Runs(ctx context.Context, c rules.Contest, since uint64, cut *rules.Cut, secret string) ([]rules.Run, error) {
	changed, err := r.changed(ctx, c, since, cut)
	if err != nil {
		return nil, err
	}
	runs, err := r.read(ctx, c, cut, changed)
	if err != nil {
		return nil, err
	}
	if err := r.note(ctx, c, cut, runs); err != nil || c.Rule.Kind == rules.Achievement {
		return runs, err
	}
	return r.withKnown(ctx, c, cut, runs, changed, secret)
}

// changed returns the subjects whose claim has to be read: those that may have reached
// the threshold, and of which no claim is known, or one that something may change
// which the cuts from since on took in.
func (r *Reader) changed(ctx context.Context, c rules.Contest, since uint64, cut *rules.Cut) ([]string, error) {
	q := &query{}
	touched := "SELECT subject, min(earliest_ns) AS first FROM touches WHERE cut BETWEEN " + q.uint(since) + " AND " + q.uint(cut.Number) + " AND " + q.tally(c) + " GROUP BY subject"
	subjects := "subject IN (SELECT subject FROM (" + touched + "))"
	join := "INNER"
	if c.Rule.Kind != rules.Achievement || since == Everybody {
		// A claim may be unknown though nothing new touched it: nobody has asked before.
		subjects, join = "1", "LEFT"
	}
	statement := `SELECT t.subject
FROM
(
    SELECT subject, sum(total) AS sum
    FROM
    (
        SELECT subject, member, value, argMax(total, cut) AS total
        FROM tallies
        WHERE ` + q.tally(c) + ` AND ` + subjects + `
        GROUP BY subject, member, value
    )
    GROUP BY subject
    HAVING sum >= ` + q.uint(uint64(c.Rule.Threshold)) + `
) AS t
` + join + ` JOIN (` + touched + `) AS n ON n.subject = t.subject
LEFT JOIN
(
    SELECT subject, argMax(latest_ns, cut) AS latest, max(cut) AS known
    FROM claims
    WHERE ` + q.tally(c) + ` AND cut < ` + q.uint(cut.Number) + `
    GROUP BY subject
) AS k ON k.subject = t.subject
WHERE k.known = 0 OR n.subject != '' AND n.first <= k.latest + ` + q.instant(r.slack) + `
ORDER BY t.subject
LIMIT ` + q.uint(rules.MaxEntries+1)
	var changed []string
	err := r.each(ctx, "find the candidates of rule "+c.Rule.ID, statement, q.args, func(rows driver.Rows) error {
		var s string
		err := rows.Scan(&s)
		changed = append(changed, s)
		return err
	})
	return changed, err
}

// read reads the claims of subjects, some at a time.
func (r *Reader) read(ctx context.Context, c rules.Contest, cut *rules.Cut, subjects []string) ([]rules.Run, error) {
	var runs []rules.Run
	for some := range slices.Chunk(subjects, subjectsPerQuery) {
		records, err := r.records(ctx, cut, c, some)
		if err != nil {
			return nil, err
		}
		bySubject(c.Rule, records, func(subject string, records []rules.Record) {
			if run, ok := c.Rule.Run(subject, records, rules.Whole(c.Rule.Threshold)); ok {
				if c.Rule.Kind == rules.Achievement {
					run = run.Alone()
				}
				runs = append(runs, run)
			}
		})
	}
	return runs, nil
}

// note writes down the claims that were read. A crash after it leaves claims of a cut
// that is not settled, which nobody believes before it is.
func (r *Reader) note(ctx context.Context, c rules.Contest, cut *rules.Cut, runs []rules.Run) error {
	if len(runs) == 0 {
		return nil
	}
	n := len(runs)
	keys, scopes, opens := make([]uint64, n), make([]string, n), make([]int64, n)
	subjects, earliest, latest, cuts := make([]string, n), make([]int64, n), make([]int64, n), make([]uint64, n)
	for i := range runs {
		keys[i], scopes[i], opens[i] = c.Rule.TallyKey(), string(c.Scope), int64(c.Window.Opens)
		subjects[i], earliest[i], latest[i], cuts[i] = runs[i].Subject, int64(runs[i].Earliest), int64(runs[i].Latest), cut.Number
	}
	return r.insert(ctx, "INSERT INTO claims (rule, scope, opens_ns, subject, earliest_ns, latest_ns, cut)", keys, scopes, opens, subjects, earliest, latest, cuts)
}

// firstKnown is how many of the known claims are read at first.
const firstKnown = 32

// withKnown adds the known claims that the contest can be decided from: those that begin
// first, until what begins later has no part in its places and runners-up.
func (r *Reader) withKnown(ctx context.Context, c rules.Contest, cut *rules.Cut, runs []rules.Run, changed []string, secret string) ([]rules.Run, error) {
	for limit := firstKnown + c.Rule.Places; ; limit *= 4 {
		claims, err := r.claims(ctx, c, cut, changed, limit+1)
		if err != nil {
			return nil, err
		}
		more := len(claims) > limit
		var subjects []string
		for _, k := range claims[:min(len(claims), limit)] {
			subjects = append(subjects, k.subject)
		}
		slices.Sort(subjects)
		read, err := r.read(ctx, c, cut, subjects)
		if err != nil {
			return nil, err
		}
		all := slices.Concat(runs, read)
		reach, enough := c.Reach(all, secret)
		if !more || enough && claims[limit].earliest > reach+r.slack {
			return all, nil
		}
	}
}

// claims returns the known claims that begin first, those of some subjects aside.
func (r *Reader) claims(ctx context.Context, c rules.Contest, cut *rules.Cut, except []string, limit int) ([]known, error) {
	q := &query{}
	statement := `SELECT subject, argMax(earliest_ns, cut) AS earliest, argMax(latest_ns, cut) AS latest
FROM claims
WHERE ` + q.tally(c) + ` AND cut < ` + q.uint(cut.Number) + ` AND subject NOT IN ` + q.texts(append(slices.Clone(except), "")) + `
GROUP BY subject
ORDER BY earliest, subject
LIMIT ` + q.uint(uint64(limit))
	var claims []known
	err := r.each(ctx, "read the known claims of rule "+c.Rule.ID, statement, q.args, func(rows driver.Rows) error {
		var k known
		var earliest, latest int64
		err := rows.Scan(&k.subject, &earliest, &latest)
		k.earliest, k.latest = rules.Instant(earliest), rules.Instant(latest)
		claims = append(claims, k)
		return err
	})
	return claims, err
}

// Beyond returns, for each contest, the least earliest end of rows within the cut's
// offsets that count in it and whose instant is at or after its end; Never if there is
// none that begins by the latest instant given.
func (r *Reader) Beyond(ctx context.Context, contests []rules.Contest, cut *rules.Cut, latest rules.Instant) ([]rules.Instant, error) {
	beyond := make([]rules.Instant, len(contests))
	q := &query{}
	cases := ""
	for i, c := range contests {
		beyond[i] = rules.Never
		if !c.Window.Forever() && c.Window.Closes <= cut.Through {
			continue
		}
		cases += fmt.Sprintf("if(%s AND %s AND %s, %d, -1), ", q.matches(c.Rule), q.inScope(c.Scope), q.during(c.Window), i)
	}
	if cases == "" {
		return beyond, nil
	}
	statement := `SELECT toInt64(contest), min(earliest_ns)
FROM
(
    SELECT earliest_ns, arrayJoin(arrayFilter(i -> i >= 0, [` + cases + `-1])) AS contest
    FROM arrivals
    WHERE ` + q.lines(cut.Nodes, nil) + ` AND instant_ns >= ` + q.instant(cut.Through) + ` AND earliest_ns <= ` + q.instant(latest) + `
)
GROUP BY contest`
	err := r.each(ctx, fmt.Sprintf("look beyond cut %d", cut.Number), statement, q.args, func(rows driver.Rows) error {
		var i, earliest int64
		err := rows.Scan(&i, &earliest)
		beyond[i] = rules.Instant(earliest)
		return err
	})
	return beyond, err
}
