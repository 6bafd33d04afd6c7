package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// readLog reads the merged log and checks that each event's content is what its fields
// say.
func readLog(ctx context.Context, conn driver.Conn, v *Verification) ([]rules.Record, error) {
	const statement = `SELECT node, offset, content, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, backdated,
    player, guild, target, sku, count, price_minor, currency, attrs
FROM event_log`
	var log []rules.Record
	err := each(ctx, conn, statement, func(rows driver.Rows) error {
		var r rules.Record
		var content string
		var backdated uint8
		var at, instant, earliest, latest int64
		err := rows.Scan(&r.Node, &r.Offset, &content, &r.Server, &r.Region, &r.ID, &r.Type, &at, &r.Seq, &instant, &earliest, &latest, &backdated,
			&r.Player, &r.Guild, &r.Target, &r.SKU, &r.Count, &r.Price.Amount, &r.Price.Currency, &r.Attrs)
		if err != nil {
			return err
		}
		r.At, r.Instant, r.Earliest, r.Latest = rules.Instant(at), rules.Instant(instant), rules.Instant(earliest), rules.Instant(latest)
		r.Backdated = backdated != 0
		copy(r.Content[:], content)
		if r.Digest() != r.Content {
			v.mismatch("table event_log, node %s, offset %d: event %s/%s was changed, its fields have another digest", r.Node, r.Offset, r.Server, r.ID)
		}
		if r.Earliest > r.Latest {
			v.mismatch("table event_log, node %s, offset %d: event %s/%s ends before it begins", r.Node, r.Offset, r.Server, r.ID)
		}
		log = append(log, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return log, nil
}

// replay settles cuts in order, in memory. What is new in a cut is added to what each
// contest has of each subject; a contest is decided again where something was added or
// something waits, from everything there is about it.
type replay struct {
	secret    string
	rows      [][]rules.Record // by the cut that first holds them, from cut 1
	beyond    []rules.Record   // all rows, by instant: what lies beyond a cut
	chosen    map[rules.Identity]rules.Content
	cut       rules.Cut // the last one
	id        string
	set       *rules.Ruleset
	records   []rules.Record // that count, of all identities so far
	contests  map[rules.ContestID]*replayed
	conflicts map[rules.Identity]bool
}

// replayed is a contest with all that counts in it.
type replayed struct {
	rules.Contest
	standing rules.Standing
	subjects map[string][]rules.Record
	runs     map[string]rules.Run
	scores   map[string]rules.Score
	dirty    map[string]bool // subjects to which something was added
	due      bool
}

// newReplay sorts the rows by the cut that first holds them.
func newReplay(secret string, log []rules.Record, cuts []rules.Cut) *replay {
	r := &replay{
		secret: secret, rows: make([][]rules.Record, len(cuts)), chosen: map[rules.Identity]rules.Content{},
		contests: map[rules.ContestID]*replayed{}, conflicts: map[rules.Identity]bool{},
	}
	for _, rec := range log {
		// Both bounds of a cut only grow: the first that has passed both holds the row.
		n := sort.Search(len(cuts), func(k int) bool { return rec.Instant < cuts[k].Through && rec.Offset <= cuts[k].Offset(rec.Node) })
		if n < len(cuts) && cuts[n].Holds(rec.Node, rec.Offset, rec.Instant) {
			r.rows[n] = append(r.rows[n], rec)
		}
	}
	r.beyond = log
	slices.SortFunc(r.beyond, func(a, b rules.Record) int { return cmp.Compare(a.Instant, b.Instant) })
	return r
}

func (r *replay) events() uint64 { return uint64(len(r.chosen)) }

// settle decides a cut.
func (r *replay) settle(cut *rules.Cut, set *rules.Ruleset) []rules.Entry {
	m := rules.Moment{Cut: cut, Previous: &r.cut}
	if r.set == nil || r.set.Digest != set.Digest {
		r.use(set)
	}
	settled := rules.Settled{Previous: r.id, Record: cut.Digest(), Rules: set.TallyKeys()}
	entries, fresh := r.takeIn(cut, &settled)
	r.count(fresh, m, &settled)
	found := len(entries)
	for _, c := range r.sorted() {
		if !c.due && len(c.dirty) == 0 {
			continue
		}
		d := c.Settle(r.evidence(c, cut), &c.standing, m, rules.MaxEntries-len(entries))
		if len(entries) > found && len(entries)+len(d.Entries) > rules.MaxEntries {
			settled.Again = rules.AgainRest
			break
		}
		entries = append(entries, d.Entries...)
		if d.Again != "" {
			settled.Again = d.Again
		}
		if d.Again == rules.AgainRest {
			break
		}
		c.due, c.dirty = d.Waits, map[string]bool{}
	}
	committed := func(c rules.Contest) bool {
		known := r.contests[c.ID()]
		return known != nil && known.standing.Commitment() != nil || slices.ContainsFunc(entries, func(e rules.Entry) bool {
			return e.Kind == rules.KindCommitment && rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window} == c.ID()
		})
	}
	entries = append(entries, rules.OpenCommitments(set, r.secret, cut, committed)...)
	sealed := rules.Seal(cut.Number, entries, settled)
	for _, e := range sealed {
		if rule := set.Rule(e.Rule); rule != nil {
			r.contest(rules.Contest{Rule: rule, Scope: e.Scope, Window: e.Window}).standing.Apply(e)
		}
	}
	r.cut, r.id = *cut, sealed[len(sealed)-1].ID
	return sealed
}

// use takes another ruleset: what counts is sorted into contests anew, and each is
// decided again.
func (r *replay) use(set *rules.Ruleset) {
	before := r.contests
	r.set, r.contests = set, map[rules.ContestID]*replayed{}
	for _, id := range slices.SortedFunc(maps.Keys(before), rules.ContestID.Compare) {
		if rule := set.Rule(id.Rule); rule != nil {
			c := r.contest(rules.Contest{Rule: rule, Scope: id.Scope, Window: id.Window})
			c.standing, c.due = before[id].standing, true
		} else {
			r.contests[id] = before[id] // a rule that comes back finds what was decided
		}
	}
	for i := range r.records {
		r.add(&r.records[i])
	}
}

func (r *replay) contest(c rules.Contest) *replayed {
	known := r.contests[c.ID()]
	if known == nil {
		known = &replayed{
			Contest: c, subjects: map[string][]rules.Record{}, runs: map[string]rules.Run{}, scores: map[string]rules.Score{}, dirty: map[string]bool{},
		}
		r.contests[c.ID()] = known
	}
	return known
}

// add sorts a record into the contests that it counts in.
func (r *replay) add(rec *rules.Record) {
	for i := range r.set.Rules {
		rule := &r.set.Rules[i]
		if c, ok := rule.ContestOf(rec); ok {
			known := r.contest(c)
			subject := rule.SubjectOf(&rec.Event)
			known.subjects[subject] = append(known.subjects[subject], *rec)
			known.dirty[subject] = true
		}
	}
}

// takeIn takes in the rows of a cut: conflicts that they make, and one record for each
// identity that is new. It returns both.
func (r *replay) takeIn(cut *rules.Cut, settled *rules.Settled) ([]rules.Entry, []rules.Record) {
	rows := slices.Clone(r.rows[cut.Number-1])
	slices.SortFunc(rows, func(a, b rules.Record) int {
		return cmp.Or(a.Identity().Compare(b.Identity()), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Offset, b.Offset))
	})
	rows = slices.CompactFunc(rows, func(a, b rules.Record) bool { return a.Node == b.Node && a.Offset == b.Offset })
	r.countRows(rows, settled)
	var entries []rules.Entry
	var fresh []rules.Record
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end].Identity() == rows[start].Identity() {
			end++
		}
		same := rows[start:end]
		identity := same[0].Identity()
		counts, known := r.chosen[identity]
		if !known {
			counts = same[0].Content
			r.chosen[identity] = counts
			best := same[0]
			for _, rec := range same[1:] {
				if rec.Content == counts && rec.Latest-rec.Earliest < best.Latest-best.Earliest {
					best = rec
				}
			}
			fresh = append(fresh, best)
		}
		if !r.conflicts[identity] && slices.ContainsFunc(same, func(rec rules.Record) bool { return rec.Content != counts }) {
			r.conflicts[identity] = true
			entries = append(entries, rules.Entry{Kind: rules.KindConflict, Conflict: &rules.Conflict{
				Identity: identity, Counts: counts, Players: r.players(identity, cut.Number),
			}})
		}
		start = end
	}
	r.records = append(r.records, fresh...)
	for i := range fresh {
		r.add(&fresh[i])
	}
	return entries, fresh
}

// players returns whom the rows of an identity up to a cut name.
func (r *replay) players(identity rules.Identity, cut uint64) []string {
	var players []string
	for _, rows := range r.rows[:cut] {
		for i := range rows {
			if rows[i].Identity() == identity {
				players = append(players, rows[i].Player)
			}
		}
	}
	slices.Sort(players)
	return slices.Compact(players)
}

// countRows counts what the settled entry says of rows.
func (r *replay) countRows(rows []rules.Record, settled *rules.Settled) {
	behind := map[string]uint64{}
	refused := map[string]map[rules.Identity]bool{}
	for i := range rows {
		rec := &rows[i]
		if line := r.cut.Line(rec.Node); line != nil && rec.Offset > line.Offset && rec.Earliest < line.Watermark {
			behind[rec.Node]++
		}
		for j := range r.set.Rules {
			rule := &r.set.Rules[j]
			if _, ok := rule.ContestOf(rec); !ok {
				continue
			}
			if _, read := rule.Amount(&rec.Event); !read {
				if refused[rule.ID] == nil {
					refused[rule.ID] = map[rules.Identity]bool{}
				}
				refused[rule.ID][rec.Identity()] = true
			}
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(refused)) {
		settled.Refused = append(settled.Refused, rules.Tally{Name: rule, Count: uint64(len(refused[rule]))})
	}
	for _, node := range slices.Sorted(maps.Keys(behind)) {
		settled.Behind = append(settled.Behind, rules.Tally{Name: node, Count: behind[node]})
	}
}

// count counts what the settled entry says of events.
func (r *replay) count(fresh []rules.Record, m rules.Moment, settled *rules.Settled) {
	for i := range fresh {
		rec := &fresh[i]
		settled.Events++
		if rec.Instant < r.cut.Through {
			settled.Late++
		}
		for j := range r.set.Rules {
			if c, ok := r.set.Rules[j].ContestOf(rec); ok && c.TooLate(rec, &r.contest(c).standing, m) {
				settled.TooLate++
			}
		}
	}
}

// sorted returns the contests of the ruleset, in its order, then by window and scope.
func (r *replay) sorted() []*replayed {
	order := map[string]int{}
	for i := range r.set.Rules {
		order[r.set.Rules[i].ID] = i
	}
	all := slices.SortedFunc(maps.Values(r.contests), func(a, b *replayed) int {
		return cmp.Or(cmp.Compare(order[a.Rule.ID], order[b.Rule.ID]), a.Compare(b.Contest))
	})
	return slices.DeleteFunc(all, func(c *replayed) bool { return r.set.Rule(c.Rule.ID) != c.Rule })
}

// evidence returns everything about the contest, of every subject.
func (r *replay) evidence(c *replayed, cut *rules.Cut) rules.Evidence {
	ev := rules.Evidence{Secret: r.secret, Beyond: rules.Never}
	for _, subject := range slices.Sorted(maps.Keys(c.dirty)) {
		of := c.subjects[subject]
		switch c.Rule.Kind {
		case rules.Sale:
		case rules.Leaderboard:
			if score, ok := c.Rule.Score(subject, of); ok {
				c.scores[subject] = score
			}
		default:
			if run, ok := c.Rule.Run(subject, of, rules.Whole(c.Rule.Threshold)); ok {
				c.runs[subject] = run
			}
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(c.subjects)) {
		if run, ok := c.runs[subject]; ok {
			ev.Runs = append(ev.Runs, run)
		}
		if score, ok := c.scores[subject]; ok {
			ev.Scores = append(ev.Scores, score)
		}
		if c.Rule.Kind == rules.Sale {
			ev.Attempts = append(ev.Attempts, c.subjects[subject]...)
		}
	}
	if c.Rule.Kind != rules.WorldFirst || len(ev.Runs) == 0 {
		return ev
	}
	from, _ := slices.BinarySearchFunc(r.beyond, cut.Through, func(rec rules.Record, i rules.Instant) int { return cmp.Compare(rec.Instant, i) })
	for i := from; i < len(r.beyond); i++ {
		rec := &r.beyond[i]
		if !c.Window.Forever() && rec.Instant >= c.Window.Closes {
			break
		}
		if cut.Within(rec.Node, rec.Offset) && rec.Earliest < ev.Beyond {
			if of, ok := c.Rule.ContestOf(rec); ok && of.ID() == c.ID() {
				ev.Beyond = rec.Earliest
			}
		}
	}
	return ev
}
