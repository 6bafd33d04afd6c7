package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// known is a claim as an earlier cut has read it.
type known struct {
	subject          string
	earliest, latest rules.Instant
}

// Ask is a contest whose claims are asked for.
type Ask struct {
	rules.Contest
	// Since is the first cut whose touches it has not been settled with, or Everybody.
	Since uint64
	// Waits says that something in it waits, so that it must be decided even where no
	// claim has changed.
	Waits bool
}

// Found are the claims of a contest.
type Found struct {
	Runs  []rules.Run // to decide from
	Fresh []rules.Run // of these, those that were read because they are not known; see Note
	Look  bool        // false: the contest is as it was
}

// Runs returns, for each world_first and achievement, the claims that can matter in it
// at the cut: of a world_first all that its places and runners-up can be decided from,
// of an achievement those of subjects that were touched, by subject, at most as many as
// one cut awards. A contest in which no claim has changed and nothing waits is as it was,
// and so is, to it, one that is not decided by claims.
//
// A claim that is known does not change by what can only have happened after its end
// and the slack of the clocks, nor does the order of claims; a property test of rules
// holds that. So such events are not looked at.
func (r *Reader) Runs(ctx context.Context, asks []Ask, cut *rules.Cut, secret string) ([]Found, error) {
	changed, err := r.changed(ctx, asks, cut)
	if err != nil {
		return nil, err
	}
	all := make([]Found, len(asks))
	for i, a := range asks {
		f := &all[i]
		if f.Look = ran(a.Rule) && (a.Waits || len(changed[i]) > 0); !f.Look {
			continue
		}
		if f.Fresh, err = r.read(ctx, a.Contest, cut, changed[i]); err != nil {
			return nil, err
		}
		f.Runs = f.Fresh
		if a.Rule.Kind == rules.WorldFirst {
			if f.Runs, err = r.withKnown(ctx, a.Contest, cut, f.Fresh, changed[i], secret); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// ran reports whether a rule is decided by claims to a threshold.
func ran(r *rules.Rule) bool { return r.Kind == rules.WorldFirst || r.Kind == rules.Achievement }

// changed returns, for each contest, the subjects whose claim has to be read: those that
// may have reached the threshold, and of which no claim is known, or one that something
// may change which was taken in since. Contests that everybody is asked about are asked
// one by one, the others in one query.
func (r *Reader) changed(ctx context.Context, asks []Ask, cut *rules.Cut) ([][]string, error) {
	changed := make([][]string, len(asks))
	var some []int
	for i, a := range asks {
		switch {
		case !ran(a.Rule):
		case a.Since == Everybody:
			if err := r.changedAmong(ctx, asks, []int{i}, "1", "LEFT", cut, changed); err != nil {
				return nil, err
			}
		default:
			some = append(some, i)
		}
	}
	for part := range slices.Chunk(some, contestsPerQuery) {
		if err := r.changedAmong(ctx, asks, part, "("+tallyKey+", subject) IN (SELECT "+tallyKey+", subject FROM touched)", "INNER", cut, changed); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// contestsPerQuery bounds how many contests one query asks about.
const contestsPerQuery = 200

const tallyKey = "rule, scope, opens_ns"

// changedAmong fills changed for the contests of some numbers.
func (r *Reader) changedAmong(ctx context.Context, asks []Ask, numbers []int, which, join string, cut *rules.Cut, changed [][]string) error {
	q := &query{}
	var contests, thresholds []string
	since := cut.Number
	byKey := map[string][]int{}
	for _, i := range numbers {
		a := asks[i]
		contests = append(contests, "("+q.uint(a.Rule.TallyKey())+", "+q.text(string(a.Scope))+", "+q.instant(a.Window.Opens)+")")
		thresholds = append(thresholds, "rule = "+q.uint(a.Rule.TallyKey())+", "+q.uint(uint64(a.Rule.Threshold)))
		since = min(since, a.Since)
		byKey[keyOf(a.Contest)] = append(byKey[keyOf(a.Contest)], i)
	}
	among := "(" + tallyKey + ") IN (" + strings.Join(contests, ", ") + ")"
	statement := `WITH touched AS
(
    SELECT ` + tallyKey + `, subject, min(earliest_ns) AS first
    FROM touches
    WHERE cut BETWEEN ` + q.uint(since) + ` AND ` + q.uint(cut.Number) + ` AND ` + among + `
    GROUP BY ` + tallyKey + `, subject
)
SELECT t.rule, t.scope, t.opens_ns, t.subject
FROM
(
    SELECT ` + tallyKey + `, subject, sum(total) AS sum
    FROM
    (
        SELECT ` + tallyKey + `, subject, member, value, argMax(total, cut) AS total
        FROM tallies
        WHERE ` + among + ` AND ` + which + `
        GROUP BY ` + tallyKey + `, subject, member, value
    )
    GROUP BY ` + tallyKey + `, subject
    HAVING sum >= multiIf(` + strings.Join(thresholds, ", ") + `, 1)
) AS t
` + join + ` JOIN touched AS n ON n.rule = t.rule AND n.scope = t.scope AND n.opens_ns = t.opens_ns AND n.subject = t.subject
LEFT JOIN
(
    SELECT ` + tallyKey + `, subject, argMax(latest_ns, cut) AS latest, max(cut) AS known
    FROM claims
    WHERE ` + among + ` AND ` + which + ` AND cut < ` + q.uint(cut.Number) + `
    GROUP BY ` + tallyKey + `, subject
) AS k ON k.rule = t.rule AND k.scope = t.scope AND k.opens_ns = t.opens_ns AND k.subject = t.subject
WHERE k.known = 0 OR n.subject != '' AND n.first <= k.latest + ` + q.instant(r.slack) + `
ORDER BY t.rule, t.scope, t.opens_ns, t.subject
LIMIT ` + q.uint(rules.MaxEntries+1) + ` BY t.rule, t.scope, t.opens_ns`
	return r.each(ctx, "find the candidates of rules", statement, q.args, func(rows driver.Rows) error {
		var rule uint64
		var scope, subject string
		var opens int64
		if err := rows.Scan(&rule, &scope, &opens, &subject); err != nil {
			return err
		}
		for _, i := range byKey[fmt.Sprint(rule, " ", opens, " ", scope)] {
			changed[i] = append(changed[i], subject)
		}
		return nil
	})
}

// keyOf names the tallies of a contest.
func keyOf(c rules.Contest) string {
	return fmt.Sprint(c.Rule.TallyKey(), " ", int64(c.Window.Opens), " ", string(c.Scope))
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

// Noted are claims of a contest that were decided with.
type Noted struct {
	rules.Contest
	Runs []rules.Run
}

// Note writes down claims that the cut has decided with, so that they need not be read
// again. A crash after it leaves claims of a cut that is not settled, which nobody
// believes before it is.
func (r *Reader) Note(ctx context.Context, cut *rules.Cut, noted []Noted) error {
	var keys, cuts []uint64
	var scopes, subjects []string
	var opens, earliest, latest []int64
	for _, n := range noted {
		for i := range n.Runs {
			run := &n.Runs[i]
			keys, scopes, opens = append(keys, n.Rule.TallyKey()), append(scopes, string(n.Scope)), append(opens, int64(n.Window.Opens))
			subjects, earliest, latest = append(subjects, run.Subject), append(earliest, int64(run.Earliest)), append(latest, int64(run.Latest))
			cuts = append(cuts, cut.Number)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return r.insert(ctx, "INSERT INTO claims (rule, scope, opens_ns, subject, earliest_ns, latest_ns, cut)", keys, scopes, opens, subjects, earliest, latest, cuts)
}

// Everybody is since when contests are asked about that have not been settled by their
// rule before.
const Everybody = 1

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
