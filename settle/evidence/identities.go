package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// identities counts the identities that are new in the cut and finds those with more
// than one content. Rows that the cut before held say that an identity is known.
func (r *Reader) identities(ctx context.Context, prev, cut *rules.Cut, t *Taken) error {
	q := &query{}
	known, late, ofSlice := "0", "0", ""
	if prev.Number > 0 {
		known, late = q.within(prev), "best < "+q.instant(prev.Through)
		ofSlice = " AND (server, id) IN (SELECT server, id FROM (" + q.slice("server, id", prev, cut) + "))"
	}
	statement := `SELECT countIf(NOT rival AND NOT known), countIf(NOT rival AND NOT known AND ` + late + `), countIf(rival)
FROM
(
    SELECT
        max(` + known + `) AS known,
        min(content) != max(content) AS rival,
        argMin(instant_ns, (latest_ns - earliest_ns, node, offset)) AS best
    FROM identities
    WHERE ` + q.within(cut) + ofSlice + `
    GROUP BY server, id
)
SETTINGS optimize_aggregation_in_order = 1` // as the table is sorted: what is in memory does not grow with the slice
	var rivals uint64
	err := r.each(ctx, fmt.Sprintf("count the events of cut %d", cut.Number), statement, q.args, func(rows driver.Rows) error {
		return rows.Scan(&t.Events, &t.Late, &rivals)
	})
	if err != nil || rivals == 0 {
		return err
	}
	return r.conflicts(ctx, prev, cut, t, false)
}

// rival is a row whose identity has more than one content.
type rival struct {
	rules.Identity
	content rules.Content
	node    string
	offset  uint64
	instant rules.Instant
	size    rules.Instant // of its interval
	player  string
	known   bool // the cut before held it
}

// conflicts decides which content of each identity in conflict counts, that which came
// first, adds what is new among them to t, and writes it down for each player that a
// content names. Where cuts are taken in again, what came first is what was written then.
func (r *Reader) conflicts(ctx context.Context, prev, cut *rules.Cut, t *Taken, again bool) error {
	rivals, err := r.rivals(ctx, prev, cut)
	if err != nil {
		return err
	}
	var all []rules.Conflict
	for start := 0; start < len(rivals); {
		end := start + 1
		for end < len(rivals) && rivals[end].Identity == rivals[start].Identity {
			end++
		}
		same := rivals[start:end]
		counts, standing, err := r.counts(ctx, same, again)
		if err != nil {
			return err
		}
		c := rules.Conflict{Identity: same[0].Identity, Counts: counts}
		for _, v := range same {
			c.Players = append(c.Players, v.player)
		}
		slices.Sort(c.Players)
		c.Players = slices.Compact(c.Players)
		all = append(all, c)
		if !standing {
			t.Conflicts = append(t.Conflicts, c)
		}
		if !slices.ContainsFunc(same, func(v rival) bool { return v.known }) {
			t.Events++
			if prev.Number > 0 && bestOf(same, counts).instant < prev.Through {
				t.Late++
			}
		}
		start = end
	}
	return r.writeConflicts(ctx, cut.Number, all)
}

// rivals returns every row of the cut of each identity that has a row in the slice and
// more than one content, by identity, then those that the cut before held, then by
// (node, offset).
func (r *Reader) rivals(ctx context.Context, prev, cut *rules.Cut) ([]rival, error) {
	q := &query{}
	known := "0"
	if prev.Number > 0 {
		known = q.within(prev)
	}
	statement := `SELECT server, id, content, node, offset, instant_ns, latest_ns - earliest_ns, player, toUInt8(` + known + `) AS known
FROM identities
WHERE ` + q.within(cut) + ` AND (server, id) IN
(
    SELECT server, id
    FROM identities
    WHERE ` + q.within(cut) + ` AND (server, id) IN (SELECT server, id FROM (` + q.slice("server, id", prev, cut) + `))
    GROUP BY server, id
    HAVING min(content) != max(content)
)
ORDER BY server, id, known DESC, node, offset`
	var rivals []rival
	err := r.each(ctx, "look for conflicts", statement, q.args, func(rows driver.Rows) error {
		var v rival
		var content string
		var instant, size int64
		var known uint8
		err := rows.Scan(&v.Server, &v.ID, &content, &v.node, &v.offset, &instant, &size, &v.player, &known)
		copy(v.content[:], content)
		v.instant, v.size, v.known = rules.Instant(instant), rules.Instant(size), known == 1
		rivals = append(rivals, v)
		return err
	})
	return rivals, err
}

// counts returns which content of an identity counts, and whether an earlier cut had
// found the conflict. What the cut before held is of one content, or was a conflict
// already.
func (r *Reader) counts(ctx context.Context, same []rival, again bool) (rules.Content, bool, error) {
	first := same[0]
	standing := slices.ContainsFunc(same, func(v rival) bool { return v.known && v.content != first.content })
	if !standing && !again {
		return first.content, false, nil
	}
	q := &query{}
	players := make([]string, len(same))
	for i := range same {
		players[i] = same[i].player
	}
	statement := "SELECT content FROM conflicts WHERE player IN " + q.texts(players) + " AND server = " + q.text(first.Server) +
		" AND id = " + q.text(first.ID) + " ORDER BY cut LIMIT 1"
	found := false
	var counts rules.Content
	err := r.each(ctx, "read a conflict", statement, q.args, func(rows driver.Rows) error {
		var content string
		err := rows.Scan(&content)
		copy(counts[:], content)
		found = true
		return err
	})
	if err == nil && !found {
		err = errors.New("the table conflicts lacks " + first.Server + "/" + first.ID + ", which an earlier cut found: restore it")
	}
	return counts, true, err
}

// bestOf returns the row that stands for an identity which is new: of the content that
// counts, the one that knows the time best.
func bestOf(same []rival, counts rules.Content) *rival {
	var best *rival
	for i := range same {
		v := &same[i]
		if v.content != counts {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(v.size, best.size), cmp.Compare(v.node, best.node), cmp.Compare(v.offset, best.offset)) < 0 {
			best = v
		}
	}
	return best
}

// writeConflicts writes each conflict once for each player that it names. A crash in
// the middle leaves some: the next run writes all of them again.
func (r *Reader) writeConflicts(ctx context.Context, cut uint64, conflicts []rules.Conflict) error {
	if len(conflicts) == 0 {
		return nil
	}
	var players, servers, ids, contents []string
	var cuts []uint64
	for _, c := range conflicts {
		for _, p := range c.Players {
			players, servers, ids = append(players, p), append(servers, c.Server), append(ids, c.ID)
			contents, cuts = append(contents, string(c.Counts[:])), append(cuts, cut)
		}
	}
	r.calm = false
	return r.insert(ctx, "INSERT INTO conflicts (player, server, id, content, cut)", players, servers, ids, contents, cuts)
}

// insert sends columns of equal length as one block.
func (r *Reader) insert(ctx context.Context, statement string, columns ...any) error {
	batch, err := r.conn.PrepareBatch(ctx, statement)
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	for i, column := range columns {
		if err := batch.Column(i).Append(column); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", statement, err), batch.Abort())
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
