package evidence

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// subjectsPerQuery bounds how many subjects' events are in memory at once.
const subjectsPerQuery = 500

// wanted are subjects of a contest, sorted, whose records are to be read.
type wanted struct {
	rules.Contest
	subjects []string
}

// gather reads the records of the subjects and calls each with the number of the
// contest and what counts in it of one subject, contests and subjects in order. A record
// stands for an identity; it counts for the contest's rule, in its scope and window.
// Several contests share a statement, and no more than some subjects are in memory.
func (r *Reader) gather(ctx context.Context, cut *rules.Cut, wants []wanted, each func(i int, subject string, records []rules.Record)) error {
	var part []wanted
	var numbers []int
	room := subjectsPerQuery
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		err := r.gatherPart(ctx, cut, part, func(i int, subject string, records []rules.Record) { each(numbers[i], subject, records) })
		part, numbers, room = nil, nil, subjectsPerQuery
		return err
	}
	for i, w := range wants {
		for rest := w.subjects; len(rest) > 0; {
			n := min(room, len(rest))
			part, numbers = append(part, wanted{w.Contest, rest[:n]}), append(numbers, i)
			rest = rest[n:]
			if room -= n; room == 0 {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

func (r *Reader) gatherPart(ctx context.Context, cut *rules.Cut, part []wanted, each func(int, string, []rules.Record)) error {
	q := &query{}
	var all, conditions []string
	for _, w := range part {
		players := w.subjects
		condition := q.matches(w.Rule) + " AND " + q.near(w.Window) + " AND " + q.inScope(w.Scope)
		if w.Rule.Subject == rules.SubjectGuild {
			var err error
			if players, err = r.members(ctx, w.Contest, w.subjects); err != nil {
				return err
			}
			condition += " AND guild IN " + q.texts(w.subjects)
		}
		if len(part) > 1 {
			condition += " AND player IN " + q.texts(append(players, ""))
		}
		all, conditions = append(all, players...), append(conditions, "("+condition+")")
	}
	slices.Sort(all)
	var rows []rules.Record
	for some := range slices.Chunk(slices.Compact(all), subjectsPerQuery) {
		q := &query{q.args}
		statement := "SELECT " + recordColumns + "\nFROM event_log\nWHERE player IN " + q.texts(some) + " AND (" + strings.Join(conditions, "\n    OR ") + ") AND " + q.within(cut)
		err := r.each(ctx, "read the evidence of rule "+part[0].Rule.ID, statement, q.args, func(rs driver.Rows) error {
			rec, err := scanRecord(rs)
			rows = append(rows, rec)
			return err
		})
		if err != nil {
			return err
		}
	}
	unique, err := r.unique(ctx, cut, rows)
	if err != nil {
		return err
	}
	for i, w := range part {
		var records []rules.Record
		for j := range unique {
			rec := &unique[j]
			if c, ok := w.Rule.ContestOf(rec); ok && c == w.Contest {
				if _, asked := slices.BinarySearch(w.subjects, w.Rule.SubjectOf(&rec.Event)); asked {
					records = append(records, *rec)
				}
			}
		}
		bySubject(w.Rule, records, func(subject string, records []rules.Record) { each(i, subject, records) })
	}
	return nil
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
// known best, then by (node, offset). Rows are all that the cut holds of their content.
func (r *Reader) unique(ctx context.Context, cut *rules.Cut, rows []rules.Record) ([]rules.Record, error) {
	counts, err := r.counting(ctx, cut, rows)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b rules.Record) int {
		return cmp.Or(a.Identity().Compare(b.Identity()), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Offset, b.Offset))
	})
	var unique []rules.Record
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end].Identity() == rows[start].Identity() {
			end++
		}
		same := rows[start:end]
		if content, conflict := counts[same[0].Identity()]; conflict {
			same = slices.DeleteFunc(slices.Clone(same), func(rec rules.Record) bool { return rec.Content != content })
		}
		if len(same) > 0 {
			best, err := r.best(ctx, same)
			if err != nil {
				return nil, err
			}
			unique = append(unique, best)
		}
		start = end
	}
	return unique, nil
}

// counting returns the contents that count of identities in conflict, of those that
// the rows' players are named by.
func (r *Reader) counting(ctx context.Context, cut *rules.Cut, rows []rules.Record) (map[rules.Identity]rules.Content, error) {
	var players []string
	for i := range rows {
		players = append(players, rows[i].Player)
	}
	slices.Sort(players)
	counts := map[rules.Identity]rules.Content{}
	if r.calm {
		return counts, nil
	}
	for some := range slices.Chunk(slices.Compact(players), subjectsPerQuery) {
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

// best returns the copy that stands for an event. Which cut held a copy first is only
// asked where the copies do not say the same, or came by several nodes: of one node the
// lower offset is never later.
func (r *Reader) best(ctx context.Context, same []rules.Record) (rules.Record, error) {
	differ := slices.ContainsFunc(same, func(rec rules.Record) bool {
		return rec.Earliest != same[0].Earliest || rec.Latest != same[0].Latest || rec.Instant != same[0].Instant || rec.Node != same[0].Node
	})
	if !differ {
		return same[0], nil
	}
	best, first := same[0], uint64(0)
	for _, rec := range same {
		cut, err := r.cutOf(ctx, rec.Node, rec.Offset, rec.Instant)
		if err != nil {
			return best, err
		}
		if first == 0 || cut < first || cut == first && rec.Latest-rec.Earliest < best.Latest-best.Earliest {
			best, first = rec, cut
		}
	}
	return best, nil
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
