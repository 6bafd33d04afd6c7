package evidence

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// subjectsPerQuery bounds how many subjects one statement reads the events of.
const subjectsPerQuery = 500

// wanted are subjects of a contest, sorted, whose records are to be read.
type wanted struct {
	rules.Contest
	subjects []string
	upTo     []rules.Instant // of each subject the last stamp to be read; nil: all. Of players alone
	standing *rules.Standing // nil: it is not known, and so not what is doubted
}

// stamp returns the last stamp to be read of the k-th subject.
func (w *wanted) stamp(k int) rules.Instant {
	if w.upTo == nil {
		return rules.Never
	}
	return w.upTo[k]
}

// part is those from one subject to before another.
func (w *wanted) part(from, to int) wanted {
	some := wanted{Contest: w.Contest, subjects: w.subjects[from:to], standing: w.standing}
	if w.upTo != nil {
		some.upTo = w.upTo[from:to]
	}
	return some
}

// gather reads the records of the subjects and calls each with the number of the
// contest and what counts in it of one subject, subjects in order. A record stands for
// an identity; it counts for the contest's rule, in its scope and window. Contests share
// statements, and the events of one player are in memory, or those of the members of
// some guilds. The records stand until each returns.
func (r *Reader) gather(ctx context.Context, cut *rules.Cut, wants []wanted, each func(i int, subject string, records []rules.Record) error) error {
	var players []string
	for i, w := range wants {
		if len(w.subjects) == 0 {
			continue
		}
		if w.Rule.Subject != rules.SubjectGuild {
			players = append(players, w.subjects...)
			continue
		}
		for some := range slices.Chunk(w.subjects, guildsPerQuery) {
			if err := r.gatherGuilds(ctx, cut, wanted{Contest: w.Contest, subjects: some}, func(guild string, records []rules.Record) error { return each(i, guild, records) }); err != nil {
				return err
			}
		}
	}
	slices.Sort(players)
	for some := range slices.Chunk(slices.Compact(players), subjectsPerQuery) {
		var part []wanted
		var numbers []int
		for i, w := range wants {
			from, _ := slices.BinarySearch(w.subjects, some[0])
			to, last := slices.BinarySearch(w.subjects, some[len(some)-1])
			if last {
				to++
			}
			if from < to && w.Rule.Subject != rules.SubjectGuild {
				part, numbers = append(part, w.part(from, to)), append(numbers, i)
			}
		}
		for len(part) > 0 {
			n := min(len(part), contestsPerQuery)
			if err := r.gatherPlayers(ctx, cut, some, part[:n], func(i int, player string, records []rules.Record) error { return each(numbers[i], player, records) }); err != nil {
				return err
			}
			part, numbers = part[n:], numbers[n:]
		}
	}
	return nil
}

// guildsPerQuery bounds how many guilds' events are in memory.
const guildsPerQuery = 20

// gatherGuilds reads the events of guilds by their members: the log has an order by
// player, none by guild.
func (r *Reader) gatherGuilds(ctx context.Context, cut *rules.Cut, w wanted, each func(string, []rules.Record) error) error {
	players, err := r.members(ctx, w.Contest, w.subjects)
	if err != nil {
		return err
	}
	var rows []*rules.Record
	for some := range slices.Chunk(players, subjectsPerQuery) {
		q := &query{}
		condition := q.ofRule([]wanted{w}) + " AND guild IN " + q.texts(w.subjects)
		if err := r.rows(ctx, cut, q, some, condition, []wanted{w}, "", func(rec *rules.Record) error { rows = append(rows, rec); return nil }); err != nil {
			return err
		}
	}
	counts, err := r.counting(ctx, cut, players)
	if err != nil {
		return err
	}
	if rows, err = r.unique(ctx, rows, counts); err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b *rules.Record) int { return strings.Compare(a.Guild, b.Guild) })
	for start := 0; start < len(rows); {
		guild, end := rows[start].Guild, start+1
		for end < len(rows) && rows[end].Guild == guild {
			end++
		}
		if records := w.counted(rows[start:end]); len(records) > 0 {
			if err := each(guild, records); err != nil {
				return err
			}
		}
		start = end
	}
	return nil
}

// counted returns the records that count in the contest.
func (w *wanted) counted(rows []*rules.Record) []rules.Record {
	var records []rules.Record
	for _, rec := range rows {
		if c, ok := w.Rule.ContestOf(rec); ok && c == w.Contest {
			records = append(records, *rec)
		}
	}
	return records
}

// gatherPlayers reads the events of players one after the other.
func (r *Reader) gatherPlayers(ctx context.Context, cut *rules.Cut, players []string, part []wanted, each func(int, string, []rules.Record) error) error {
	counts, err := r.counting(ctx, cut, players)
	if err != nil {
		return err
	}
	q := &query{}
	var conditions []string
	for rest := part; len(rest) > 0; {
		n := ofOneRule(rest)
		condition := q.ofRule(rest[:n])
		if n < len(part) { // others want other players
			condition += " AND player IN " + q.texts(subjectsIn(rest[:n]))
		}
		condition += q.upTo(rest[:n])
		conditions, rest = append(conditions, "("+condition+")"), rest[n:]
	}
	sorted := sortInto(part)
	var rows []*rules.Record
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		player := rows[0].Player
		unique, err := r.unique(ctx, rows, counts)
		if err != nil {
			return err
		}
		rows = rows[:0]
		sorted.add(player, unique)
		for _, i := range sorted.filled {
			if err := each(i, player, sorted.records[i]); err != nil {
				return err
			}
		}
		return nil
	}
	err = r.rows(ctx, cut, q, players, "("+strings.Join(conditions, "\n    OR ")+")", part, "ORDER BY player", func(rec *rules.Record) error {
		if len(rows) > 0 && rec.Player != rows[0].Player {
			if err := flush(); err != nil {
				return err
			}
		}
		rows = append(rows, rec)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// ofOneRule returns how many of the first contests are of one rule.
func ofOneRule(part []wanted) int {
	n := 1
	for n < len(part) && part[n].Rule == part[0].Rule {
		n++
	}
	return n
}

// sorter sorts the records of one player after the other into the contests that ask for
// the player.
type sorter struct {
	contests []wanted
	rules    []*rules.Rule
	number   map[rules.Contest]int
	records  [][]rules.Record // of each contest, of the player who was added last
	filled   []int            // contests that have some
}

func sortInto(contests []wanted) *sorter {
	s := &sorter{contests: contests, number: map[rules.Contest]int{}, records: make([][]rules.Record, len(contests))}
	for i, w := range contests {
		if !slices.Contains(s.rules, w.Rule) {
			s.rules = append(s.rules, w.Rule)
		}
		s.number[w.Contest] = i
	}
	return s
}

// add takes the place of the player before by another.
func (s *sorter) add(player string, rows []*rules.Record) {
	for _, i := range s.filled {
		s.records[i] = s.records[i][:0]
	}
	s.filled = s.filled[:0]
	for _, rule := range s.rules {
		for _, rec := range rows {
			c, ok := rule.ContestOf(rec)
			if !ok {
				continue
			}
			i, ok := s.number[c]
			if !ok {
				continue
			}
			if len(s.records[i]) == 0 {
				if _, asked := slices.BinarySearch(s.contests[i].subjects, player); !asked {
					continue
				}
				s.filled = append(s.filled, i)
			}
			s.records[i] = append(s.records[i], *rec)
		}
	}
	slices.Sort(s.filled)
}

// subjectsIn returns the subjects of all, sorted.
func subjectsIn(part []wanted) []string {
	var all []string
	for _, w := range part {
		all = append(all, w.subjects...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// upTo is the condition, if there is one, that an event's stamp is read of its player:
// of several contests, the latest. All copies of an event have the same stamp.
func (q *query) upTo(contests []wanted) string {
	stamps := map[string]rules.Instant{}
	last := -rules.Never
	for _, w := range contests {
		for k, subject := range w.subjects {
			stamp := w.stamp(k)
			if before, ok := stamps[subject]; ok {
				stamp = max(stamp, before)
			}
			stamps[subject], last = stamp, max(last, stamp)
		}
	}
	bounded := slices.DeleteFunc(slices.Sorted(maps.Keys(stamps)), func(s string) bool { return stamps[s] == rules.Never })
	if len(bounded) == 0 {
		return ""
	}
	each := make([]int64, len(bounded))
	for i, s := range bounded {
		each[i] = int64(stamps[s])
	}
	// The first condition is for the table's order, which knows nothing of the second.
	return " AND at_ns <= " + q.instant(last) + " AND at_ns <= transform(player, " + q.texts(bounded) + ", " + q.param("Array(Int64)", each) +
		", toInt64(" + q.instant(rules.Never) + "))"
}

// ofRule is a condition that holds of all events that count in contests of one rule, and
// perhaps of others.
func (q *query) ofRule(contests []wanted) string {
	condition := q.matches(contests[0].Rule)
	windows := make([]rules.Window, len(contests))
	same := true
	for i, w := range contests {
		windows[i] = w.Window
		same = same && w.Scope == contests[0].Scope
	}
	if same {
		condition += " AND " + q.inScope(contests[0].Scope)
	}
	return condition + " AND " + q.nearAny(windows)
}

// rows reads the rows of players in the cut, as far as a condition holds.
func (r *Reader) rows(ctx context.Context, cut *rules.Cut, q *query, players []string, condition string, of []wanted, order string, each func(*rules.Record) error) error {
	scan := records(func(key string) bool {
		return key == "content" && !r.calm || slices.ContainsFunc(of, func(w wanted) bool { return w.Rule.Reads(key) })
	})
	statement := "SELECT " + scan.columns + "\nFROM event_log\nWHERE player IN " + q.texts(players) + " AND " + condition + " AND " + q.within(cut) + "\n" + order
	return r.each(ctx, "read the evidence of rule "+of[0].Rule.ID, statement, q.args, func(rs driver.Rows) error {
		rec, err := scan.record(rs)
		if err != nil {
			return err
		}
		return each(rec)
	})
}

// members returns the players who have counted for the guilds in the contest, sorted.
func (r *Reader) members(ctx context.Context, c rules.Contest, guilds []string) ([]string, error) {
	q := &query{}
	statement := "SELECT member FROM tallies WHERE " + q.tally(c) + " AND subject IN " + q.texts(guilds) + " GROUP BY member ORDER BY member"
	var members []string
	err := r.each(ctx, "read the members of guilds", statement, q.args, func(rows driver.Rows) error {
		var m string
		err := rows.Scan(&m)
		members = append(members, m)
		return err
	})
	return members, err
}

// tally is the condition that a row of tallies, touches or claims is of the contest.
func (q *query) tally(c rules.Contest) string {
	return "rule = " + q.uint(c.Rule.TallyKey()) + " AND scope = " + q.text(string(c.Scope)) + " AND opens_ns = " + q.instant(c.Window.Opens)
}

// unique returns one record for each identity: of the contents the one that counts, of
// its copies the one that the earliest cut holds, within one cut the one whose time is
// known best, then by (node, offset). Rows are all that the cut holds of their content;
// they are sorted in place.
func (r *Reader) unique(ctx context.Context, rows []*rules.Record, counts map[rules.Identity]rules.Content) ([]*rules.Record, error) {
	if len(counts) > 0 {
		rows = slices.DeleteFunc(rows, func(rec *rules.Record) bool {
			content, conflict := counts[rec.Identity()]
			return conflict && rec.Content != content
		})
	}
	// What is left of an identity is of one content, and so has one place in its server's
	// order, which rules want next.
	slices.SortFunc(rows, func(a, b *rules.Record) int {
		if c := strings.Compare(a.Server, b.Server); c != 0 {
			return c
		}
		if c := cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq)); c != 0 {
			return c
		}
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Node, b.Node), cmp.Compare(a.Offset, b.Offset))
	})
	unique := make([]*rules.Record, 0, len(rows))
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end].ID == rows[start].ID && rows[end].Server == rows[start].Server {
			end++
		}
		best, err := r.best(ctx, rows[start:end])
		if err != nil {
			return nil, err
		}
		unique, start = append(unique, best), end
	}
	return unique, nil
}

// counting returns the contents that count of identities in conflict, of those that the
// players are named by.
func (r *Reader) counting(ctx context.Context, cut *rules.Cut, players []string) (map[rules.Identity]rules.Content, error) {
	counts := map[rules.Identity]rules.Content{}
	if r.calm {
		return counts, nil
	}
	for some := range slices.Chunk(players, subjectsPerQuery) {
		q := &query{}
		statement := "SELECT server, id, content FROM conflicts WHERE player IN " + q.texts(some) + " AND cut <= " + q.uint(cut.Number) + " GROUP BY server, id, content"
		err := r.each(ctx, "read the conflicts", statement, q.args, func(rs driver.Rows) error {
			var i rules.Identity
			var text string
			err := rs.Scan(&i.Server, &i.ID, &text)
			var content rules.Content
			copy(content[:], text)
			counts[i] = content
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// playersOf returns the players that rows name, sorted.
func playersOf(rows []*rules.Record) []string {
	players := make([]string, len(rows))
	for i, rec := range rows {
		players[i] = rec.Player
	}
	slices.Sort(players)
	return slices.Compact(players)
}

// best returns the copy that stands for an event. Which cut held a copy first is only
// asked where the copies do not say the same, or came by several nodes: of one node the
// lower offset is never later.
func (r *Reader) best(ctx context.Context, same []*rules.Record) (*rules.Record, error) {
	differ := slices.ContainsFunc(same, func(rec *rules.Record) bool {
		return rec.Earliest != same[0].Earliest || rec.Latest != same[0].Latest || rec.Instant != same[0].Instant || rec.Node != same[0].Node
	})
	if !differ {
		return same[0], nil
	}
	best, first := same[0], uint64(0)
	for _, rec := range same {
		cut, err := r.cutOf(ctx, rec.Node, rec.Offset, rec.Instant)
		if err != nil {
			return nil, err
		}
		if first == 0 || cut < first || cut == first && rec.Latest-rec.Earliest < best.Latest-best.Earliest {
			best, first = rec, cut
		}
	}
	return best, nil
}
