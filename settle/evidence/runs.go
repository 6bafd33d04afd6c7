package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// known is a claim as an earlier cut has read it; of a subject that had none then it
// begins at Never.
type known struct {
	subject          string
	earliest, latest rules.Instant
	total            rules.Amount // of its tally, at least; 0 where it was not asked for
}

// Ask is a contest whose claims are asked for.
type Ask struct {
	rules.Contest
	// Since is the first cut whose touches it has not been settled with, or Everybody.
	Since uint64
	// Waits says that something in it waits, so that it must be decided even where no
	// claim has changed.
	Waits bool
	// From is the first cut whose claims were decided with by the rule as it is. It is for
	// achievements: of a race the claims are read anew.
	From uint64
	// Reach is what was Found when it was last decided, or nil.
	Reach *rules.Instant
	// Standing is what stands of the contest: what it doubts depends on that.
	Standing *rules.Standing
}

// Found are the claims of a contest.
type Found struct {
	Runs    []rules.Run // to decide from
	Trusted []rules.Run // the same without what the contest doubts; nil: it doubts nothing
	Fresh   []Known     // of these, those that were read because they are not known; see Note
	Look    bool        // false: the contest is as it was
	// Reach is the instant after which, the slack of the clocks added, no claim that
	// begins has a part in a world_first; nil while its places are not taken.
	Reach *rules.Instant
}

// Runs returns, for each world_first and achievement, the claims that can matter in it
// at the cut: of a world_first all that its places and runners-up can be decided from,
// of an achievement those of subjects that were touched, by subject, at most as many as
// one cut awards. A contest in which no claim has changed and nothing waits is as it was,
// and so is, to it, one that is not decided by claims.
//
// A claim that is known does not change by what can only have happened after its end
// and the slack of the clocks, nor does the order of claims; a property test of rules
// holds that. So such events are not looked at; nor is a contest whose new claims all
// begin beyond the reach of those that decided it.
//
// standing reads what stands of some subjects, by name, of an achievement of that number
// into its Ask's Standing, before their claims are read.
func (r *Reader) Runs(
	ctx context.Context, asks []Ask, cut *rules.Cut, secret string, standing func(i int, subjects []string) error,
) ([]Found, error) {
	changed, err := r.changed(ctx, asks, cut)
	if err != nil {
		return nil, err
	}
	all := make([]Found, len(asks))
	wants := make([]wanted, len(asks))
	for i, a := range asks {
		all[i].Reach = a.Reach
		if all[i].Look = ran(a.Rule) && (a.Waits || len(changed[i]) > 0); all[i].Look {
			if wants[i], err = r.upToTheClaims(ctx, a.Contest, changed[i]); err != nil {
				return nil, err
			}
			if wants[i].standing = a.Standing; a.Rule.Kind == rules.Achievement {
				if err := standing(i, wants[i].subjects); err != nil {
					return nil, err
				}
			}
		}
	}
	fresh, err := r.read(ctx, cut, wants)
	if err != nil {
		return nil, err
	}
	for i, a := range asks {
		f := &all[i]
		f.Fresh = r.known(fresh[i])
		f.Runs, f.Trusted = runs(fresh[i])
		if !f.Look || a.Rule.Kind == rules.Achievement {
			continue
		}
		if f.Look = a.Waits || !r.beyondReach(a, changed[i], f.Fresh); !f.Look {
			continue
		}
		if err := r.withKnown(ctx, a, cut, f, fresh[i], changed[i], secret); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Reread reads the claims of the contests that touches of a settled cut may have changed,
// and writes them down as of that cut: there they were decided with.
func (r *Reader) Reread(ctx context.Context, contests []rules.Contest, cut *rules.Cut) error {
	asks := make([]Ask, len(contests))
	for i, c := range contests {
		asks[i] = Ask{Contest: c, Since: cut.Number}
	}
	changed, err := r.changed(ctx, asks, cut)
	if err != nil {
		return err
	}
	wants := make([]wanted, len(contests))
	for i, c := range contests {
		if wants[i], err = r.upToTheClaims(ctx, c, changed[i]); err != nil {
			return err
		}
	}
	readings, err := r.read(ctx, cut, wants)
	if err != nil {
		return err
	}
	noted := make([]Noted, len(contests))
	for i, c := range contests {
		noted[i] = Noted{c, r.known(readings[i])}
	}
	return r.Note(ctx, cut, noted)
}

// beyondReach reports whether neither the claims that have changed nor what they were
// before have a part in the contest.
func (r *Reader) beyondReach(a Ask, before []known, fresh []Known) bool {
	if a.Reach == nil {
		return false
	}
	reach := *a.Reach + r.slack
	return !slices.ContainsFunc(before, func(k known) bool { return k.earliest <= reach }) &&
		!slices.ContainsFunc(fresh, func(k Known) bool { return k.Earliest <= reach })
}

func subjectsOf(claims []known) []string {
	subjects := make([]string, len(claims))
	for i := range claims {
		subjects[i] = claims[i].subject
	}
	return subjects
}

// ran reports whether a rule is decided by claims to a threshold.
func ran(r *rules.Rule) bool { return r.Kind == rules.WorldFirst || r.Kind == rules.Achievement }

// changed returns, for each contest, the subjects whose claim has to be read, by name:
// those that may have reached the threshold, and of which no claim is known, or one that
// something may change which was taken in since. Many contests are asked about in one
// query.
func (r *Reader) changed(ctx context.Context, asks []Ask, cut *rules.Cut) ([][]known, error) {
	changed := make([][]known, len(asks))
	var kinds [4][]int // what has a statement of its own
	for i, a := range asks {
		if !ran(a.Rule) {
			continue
		}
		kind := 0
		if a.Since == Everybody {
			kind = 1
		}
		if a.Rule.Kind == rules.Achievement {
			kind += 2
		}
		kinds[kind] = append(kinds[kind], i)
	}
	for _, numbers := range kinds {
		for _, part := range ofOwnTallies(asks, numbers) {
			if err := r.changedAmong(ctx, asks, part, cut, changed); err != nil {
				return nil, err
			}
		}
	}
	return changed, nil
}

// ofOwnTallies splits numbers of contests into parts that one statement asks about: in
// each every contest has tallies of its own.
func ofOwnTallies(asks []Ask, numbers []int) [][]int {
	var parts [][]int
	for len(numbers) > 0 {
		seen := map[string]bool{}
		var part, rest []int
		for _, i := range numbers {
			if key := keyOf(asks[i].Contest); seen[key] || len(part) == contestsPerQuery {
				rest = append(rest, i)
			} else {
				seen[key] = true
				part = append(part, i)
			}
		}
		parts, numbers = append(parts, part), rest
	}
	return parts
}

// contestsPerQuery bounds how many contests one query asks about.
const contestsPerQuery = 200

const tallyKey = "rule, scope, opens_ns"

// changedAmong fills changed for the contests of some numbers.
func (r *Reader) changedAmong(ctx context.Context, asks []Ask, numbers []int, cut *rules.Cut, changed [][]known) error {
	q := &query{}
	var contests, claims []string
	var thresholds, ofClaims, from cases
	since := cut.Number
	byKey := map[string][]int{}
	for _, i := range numbers {
		a := asks[i]
		contests = append(contests, q.tallyKey(a.Contest))
		claims = append(claims, q.key(claimKey(a.Rule), a.Contest))
		ofClaims.add(q.uint(claimKey(a.Rule)), "toUInt64("+q.uint(a.Rule.TallyKey())+")")
		from.add(q.uint(claimKey(a.Rule)), q.uint(a.From))
		thresholds.add(q.uint(a.Rule.TallyKey()), q.uint(uint64(a.Rule.Threshold)))
		since = min(since, a.Since)
		byKey[keyOf(a.Contest)] = append(byKey[keyOf(a.Contest)], i)
	}
	// A claim that was read at a cut knows all that the cut held.
	end := "least(argMax(latest_ns, known), " + q.instant(rules.Never-r.slack) + ")" // it is Never where there may be none
	changes := "arrayExists(t -> t.1 > max(known) AND t.2 <= " + end + " + " + q.instant(r.slack) + ", groupArrayIf((touched, first), touched > 0))"
	limit := ""
	if asks[numbers[0]].Rule.Kind == rules.Achievement { // those are awarded in the order of subjects, no more in one cut
		limit = "\nLIMIT " + q.uint(rules.MaxEntries+1) + " BY " + tallyKey
	}
	among := "(" + tallyKey + ") IN (" + strings.Join(contests, ", ") + ")"
	cuts := "cut BETWEEN " + q.uint(since) + " AND " + q.uint(cut.Number)
	which, who, never := "1", "1", "toInt64("+q.instant(rules.Never)+")"
	if since > Everybody {
		which = "(" + tallyKey + ", subject) IN (SELECT " + tallyKey + ", subject FROM touches WHERE " + cuts + " AND " + among + ")"
		who = "subject IN (SELECT subject FROM touches WHERE " + cuts + " AND " + among + ")"
	}
	statement := `SELECT ` + tallyKey + `, subject, if(max(known) = 0, ` + never + `, argMax(earliest_ns, known)), if(max(known) = 0, ` + never + `, argMax(latest_ns, known)), toString(sum(total))
FROM
(
    SELECT ` + tallyKey + `, subject, total, ` + never + ` AS first, toUInt64(0) AS touched, toUInt64(0) AS known, toInt64(0) AS earliest_ns, toInt64(0) AS latest_ns
    FROM tallies FINAL
    WHERE ` + among + ` AND ` + which + `
    UNION ALL
    SELECT ` + tallyKey + `, subject, toUInt128(0), earliest_ns, cut, 0, 0, 0
    FROM touches
    WHERE ` + cuts + ` AND ` + among + `
    UNION ALL
    SELECT ` + ofClaims.sql() + `, scope, opens_ns, subject, toUInt128(0), ` + never + `, 0, cut, earliest_ns, latest_ns
    FROM claims
    WHERE (` + tallyKey + `) IN (` + strings.Join(claims, ", ") + `) AND ` + who + ` AND cut < ` + q.uint(cut.Number) + ` AND cut >= ` + from.sql() + `
)
GROUP BY ` + tallyKey + `, subject
HAVING sum(total) >= ` + thresholds.sql() + ` AND (max(known) = 0 OR ` + changes + `)
ORDER BY ` + tallyKey + `, subject` + limit
	return r.each(ctx, "find the candidates of rules", statement, q.args, func(rows driver.Rows) error {
		var earliest, latest int64
		var sum string
		key, subject, err := scanTallyKey(rows, &earliest, &latest, &sum)
		if err != nil {
			return err
		}
		total, err := rules.ParseAmount(sum)
		for _, i := range byKey[key] {
			changed[i] = append(changed[i], known{subject, rules.Instant(earliest), rules.Instant(latest), total})
		}
		return err
	})
}

// tallyKey is the value of a contest's tallyKey.
func (q *query) tallyKey(c rules.Contest) string { return q.key(c.Rule.TallyKey(), c) }

func (q *query) key(rule uint64, c rules.Contest) string {
	return "(" + q.uint(rule) + ", " + q.text(string(c.Scope)) + ", " + q.instant(c.Window.Opens) + ")"
}

// claimKey names the claims of a rule. Rules that count alike share tallies, but not
// claims: one that is known has been decided with.
func claimKey(r *rules.Rule) uint64 {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(r.ID), r.TallyKey()))
	return binary.LittleEndian.Uint64(sum[:])
}

// scanTallyKey reads a row that begins with a tallyKey and a subject: the key as keyOf
// writes it.
func scanTallyKey(rows driver.Rows, more ...any) (key, subject string, err error) {
	var rule uint64
	var scope string
	var opens int64
	err = rows.Scan(append([]any{&rule, &scope, &opens, &subject}, more...)...)
	return fmt.Sprint(rule, " ", opens, " ", scope), subject, err
}

// keyOf names the tallies of a contest.
func keyOf(c rules.Contest) string {
	return fmt.Sprint(c.Rule.TallyKey(), " ", int64(c.Window.Opens), " ", string(c.Scope))
}

// upToTheClaims says how much of the evidence of subjects their claims are to be read
// from: what is stamped so late that it can only have happened after the end of a claim,
// and the slack of the clocks, does not change it. Of whom a claim is known, that is
// where it ended; of others it is guessed where they have much more than they need.
func (r *Reader) upToTheClaims(ctx context.Context, c rules.Contest, subjects []known) (wanted, error) {
	w := wanted{Contest: c, subjects: subjectsOf(subjects), upTo: make([]rules.Instant, len(subjects))}
	if c.Rule.Subject == rules.SubjectGuild {
		w.upTo = nil // whose events are read by member
		return w, nil
	}
	var many []string
	for k, s := range subjects {
		w.upTo[k] = rules.Never
		if s.latest != rules.Never {
			w.upTo[k] = s.latest + r.slack - r.leastE
		} else if c.Rule.Measure.Kind == rules.MeasureCount && s.total.Compare(rules.Whole(rowsToRead(c.Rule)+rowsToRead(c.Rule)/4)) > 0 {
			many = append(many, s.subject)
		}
	}
	for some := range slices.Chunk(many, subjectsPerQuery) {
		q := &query{}
		statement := "SELECT player, at_ns\nFROM event_log\nWHERE player IN " + q.texts(some) + " AND " + q.ofRule([]wanted{w}) +
			"\nORDER BY player, at_ns\nLIMIT 1 OFFSET " + q.uint(uint64(rowsToRead(c.Rule))) + " BY player"
		err := r.each(ctx, "find how much to read for rule "+c.Rule.ID, statement, q.args, func(rows driver.Rows) error {
			var player string
			var at int64
			err := rows.Scan(&player, &at)
			if k, ok := slices.BinarySearch(w.subjects, player); ok {
				w.upTo[k] = rules.Instant(at)
			}
			return err
		})
		if err != nil {
			return wanted{}, err
		}
	}
	return w, nil
}

// rowsToRead is how many rows of a subject a claim is first read from: an eighth more
// than it needs, for copies and for what clocks leave open.
func rowsToRead(rule *rules.Rule) int64 { return rule.Threshold + rule.Threshold/8 + 100 }

// read returns the claims of subjects, by contest and then by subject. Where it shows
// that a claim may depend on more than was to be read, the rest is read too.
func (r *Reader) read(ctx context.Context, cut *rules.Cut, wants []wanted) ([][]reading, error) {
	readings := make([][]reading, len(wants))
	enough := make([][]bool, len(wants)) // of each subject
	for i := range wants {
		enough[i] = make([]bool, len(wants[i].subjects))
	}
	err := r.gather(ctx, cut, wants, func(i int, subject string, records []rules.Record) error {
		k, _ := slices.BinarySearch(wants[i].subjects, subject)
		x, ok, err := r.readOne(ctx, &wants[i], subject, records)
		if err != nil {
			return err
		}
		stamp := wants[i].stamp(k)
		whole := func(run *rules.Run) bool { return run != nil && !run.DependsBeyond(stamp+r.leastE, r.slack) }
		if enough[i][k] = stamp == rules.Never || ok && whole(&x.Run) && whole(x.part()); !enough[i][k] || !ok {
			return nil
		}
		if wants[i].Rule.Kind == rules.Achievement {
			x.Run = x.Alone()
		}
		readings[i] = append(readings[i], x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	rest := make([]wanted, len(wants))
	some := false
	for i := range wants {
		rest[i].Contest, rest[i].standing = wants[i].Contest, wants[i].standing
		for k, subject := range wants[i].subjects {
			if !enough[i][k] && wants[i].stamp(k) != rules.Never {
				rest[i].subjects, some = append(rest[i].subjects, subject), true
			}
		}
	}
	if !some {
		return readings, nil
	}
	whole, err := r.read(ctx, cut, rest)
	for i := range whole {
		readings[i] = append(readings[i], whole[i]...)
		slices.SortFunc(readings[i], func(a, b reading) int { return strings.Compare(a.Subject, b.Subject) })
	}
	return readings, err
}

// readOne returns the claim of a subject's records by both readings; false: there is none
// by all of them.
func (r *Reader) readOne(ctx context.Context, w *wanted, subject string, records []rules.Record) (x reading, ok bool, err error) {
	n := rules.Whole(w.Rule.Threshold)
	if x.Run, ok = w.Rule.Run(subject, records, n); !ok {
		return x, false, nil
	}
	if w.standing == nil {
		x.unsure = w.Rule.Trust != rules.TrustLate && slices.ContainsFunc(records, func(rec rules.Record) bool { return rec.Backdated })
		return x, true, nil
	}
	part, doubted, err := r.trusted(ctx, w.Contest, w.standing, subject, records)
	if x.doubted = doubted; err != nil || !doubted {
		return x, true, err
	}
	if run, ok := w.Rule.Run(subject, part, n); ok {
		if w.Rule.Kind == rules.Achievement {
			run = run.Alone()
		}
		x.trusted = &run
	}
	return x, true, nil
}

// Noted are claims of a contest that were decided with.
type Noted struct {
	rules.Contest
	Claims []Known
}

// Note writes down claims that the cut has decided with, so that they need not be read
// again. A crash after it leaves claims of a cut that is not settled, which nobody
// believes before it is.
func (r *Reader) Note(ctx context.Context, cut *rules.Cut, noted []Noted) error {
	var keys, cuts []uint64
	var scopes, subjects []string
	var opens, earliest, latest []int64
	for _, n := range noted {
		for i := range n.Claims {
			run := &n.Claims[i]
			keys, scopes, opens = append(keys, claimKey(n.Rule)), append(scopes, string(n.Scope)), append(opens, int64(n.Window.Opens))
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

// withKnown adds to what is found the known claims that the contest can be decided from:
// those that begin first, until what begins later has no part in its places and
// runners-up.
func (r *Reader) withKnown(ctx context.Context, a Ask, cut *rules.Cut, f *Found, fresh []reading, changed []known, secret string) error {
	c := a.Contest
	for limit := firstKnown + c.Rule.Places; ; limit *= 4 {
		claims, err := r.claims(ctx, c, cut, subjectsOf(changed), limit+1)
		if err != nil {
			return err
		}
		more := len(claims) > limit
		some := claims[:min(len(claims), limit)]
		w, err := r.upToTheClaims(ctx, c, slices.SortedFunc(slices.Values(some), func(a, b known) int { return strings.Compare(a.subject, b.subject) }))
		if err != nil {
			return err
		}
		w.standing = a.Standing
		readings, err := r.read(ctx, cut, []wanted{w})
		if err != nil {
			return err
		}
		f.Runs, f.Trusted = runs(slices.Concat(fresh, readings[0]))
		f.Reach = nil
		reach, enough := c.Reach(f.Runs, secret)
		if f.Trusted != nil {
			other, also := c.Reach(f.Trusted, secret)
			reach, enough = mixedReach(max(reach, other), r.slack, f.Runs, c.Sure(f.Runs, f.Trusted, a.Standing)), enough && also
		}
		if enough {
			f.Reach = &reach
		}
		if !more || enough && claims[limit].earliest > reach+r.slack {
			return nil
		}
	}
}

// mixedReach returns the reach of decisions from some claims of all evidence and the others
// of the trusted: by each of the two alone it is at most reach. As many as there are places
// end by then, and whoever is placed begins by then, but for the slack that the
// numbering of a server may add to the end of a claim, and to when another follows it.
func mixedReach(reach, slack rules.Instant, all, trusted []rules.Run) rules.Instant {
	end := reach
	for _, run := range slices.Concat(all, trusted) {
		if run.Earliest <= reach+2*slack {
			end = max(end, run.Latest)
		}
	}
	return end
}

// claims returns the known claims that begin first, those of some subjects aside.
func (r *Reader) claims(ctx context.Context, c rules.Contest, cut *rules.Cut, except []string, limit int) ([]known, error) {
	q := &query{}
	statement := `SELECT subject, argMax(earliest_ns, cut) AS earliest, argMax(latest_ns, cut) AS latest
FROM claims
WHERE (` + tallyKey + `) = ` + q.key(claimKey(c.Rule), c) + ` AND cut < ` + q.uint(cut.Number) + ` AND subject NOT IN ` + q.texts(append(slices.Clone(except), "")) + `
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
	if len(contests) > contestsPerQuery {
		for first := 0; first < len(contests); first += contestsPerQuery {
			some, err := r.Beyond(ctx, contests[first:min(first+contestsPerQuery, len(contests))], cut, latest)
			if err != nil {
				return nil, err
			}
			copy(beyond[first:], some)
		}
		return beyond, nil
	}
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
