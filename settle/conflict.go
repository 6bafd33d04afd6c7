package settle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// rival is a row of the merged log whose identity has more than one content.
type rival struct {
	rules.Identity
	node    string
	offset  uint64
	instant rules.Instant
	errNs   int64
	content rules.Content
}

// key is the identity as one text, as rivalKeySQL writes it.
func (r *rival) key() string { return strconv.Itoa(len(r.Server)) + ":" + r.Server + r.ID }

const rivalKeySQL = "concat(toString(length(server)), ':', server, id)"

// readRivals reads every row of each identity that has more than one content among
// what upTo reads of the nodes, if some of its rows are not yet in told. Time does
// not bound it: a rival may lie in a later cut than the row it contradicts.
func readRivals(ctx context.Context, conn driver.Conn, told, upTo *rules.Cut) ([]rival, error) {
	q := &query{}
	all := *upTo
	all.Through = rules.MaxInstant
	statement := `SELECT server, id, node, offset, instant_ns, err_ns, content
FROM event_log
WHERE ` + q.within(&all) + ` AND (server, id) IN
(
    SELECT server, id
    FROM event_log
    WHERE ` + q.within(&all) + ` AND (server, id) IN (SELECT server, id FROM event_log WHERE ` + q.slice(told, &all) + `)
    GROUP BY server, id
    HAVING uniqExact(content) > 1
)
ORDER BY server, id, node, offset`
	rows, err := conn.Query(ctx, statement, q.args...)
	if err != nil {
		return nil, fmt.Errorf("look for conflicts: %w", err)
	}
	defer rows.Close()
	var rivals []rival
	for rows.Next() {
		var r rival
		var instant int64
		var content string
		if err := rows.Scan(&r.Server, &r.ID, &r.node, &r.offset, &instant, &r.errNs, &content); err != nil {
			return nil, fmt.Errorf("look for conflicts: %w", err)
		}
		r.instant = rules.Instant(instant)
		copy(r.content[:], content)
		rivals = append(rivals, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for conflicts: %w", err)
	}
	return rivals, nil
}

// newConflicts returns the identities that the cut, the last of cuts, makes a
// conflict, by (server, ID). The content counts that came first: in the lowest cut,
// then by (node, offset).
func newConflicts(rivals []rival, cuts []rules.Cut, known map[rules.Identity]rules.Content) []rules.Conflict {
	type arrival struct {
		rival
		cut uint64
	}
	var in []arrival
	for _, r := range rivals {
		if _, ok := known[r.Identity]; ok {
			continue
		}
		for i := range cuts {
			if cuts[i].Holds(r.node, r.offset, r.instant) {
				in = append(in, arrival{r, cuts[i].Number})
				break
			}
		}
	}
	slices.SortFunc(in, func(a, b arrival) int {
		return cmp.Or(a.Compare(b.Identity), cmp.Compare(a.cut, b.cut), cmp.Compare(a.node, b.node), cmp.Compare(a.offset, b.offset))
	})
	var conflicts []rules.Conflict
	for start := 0; start < len(in); {
		end, same := start+1, true
		for ; end < len(in) && in[end].Identity == in[start].Identity; end++ {
			same = same && in[end].content == in[start].content
		}
		if !same {
			conflicts = append(conflicts, rules.Conflict{Identity: in[start].Identity, Counts: in[start].content})
		}
		start = end
	}
	return conflicts
}

// countRivals adds to what is new in the cut the identities in conflict, which the
// count in SQL leaves out: of these the content that counts has to be known first.
func countRivals(new *fresh, rivals []rival, told, cut *rules.Cut, conflicts map[rules.Identity]rules.Content) {
	for start := 0; start < len(rivals); {
		end := start + 1
		for end < len(rivals) && rivals[end].Identity == rivals[start].Identity {
			end++
		}
		known, arrived := false, false
		var best *rival
		for i := range rivals[start:end] {
			r := &rivals[start+i]
			if told.Holds(r.node, r.offset, r.instant) {
				known = true
			} else if cut.Holds(r.node, r.offset, r.instant) {
				arrived = true
			}
			if counts, ok := conflicts[r.Identity]; cut.Holds(r.node, r.offset, r.instant) && (!ok || r.content == counts) {
				if best == nil || cmp.Or(cmp.Compare(r.errNs, best.errNs), cmp.Compare(r.node, best.node), cmp.Compare(r.offset, best.offset)) < 0 {
					best = r
				}
			}
		}
		switch {
		case arrived && known:
			new.repeats++
		case arrived:
			new.events++
			if told.Number > 0 && best.instant < told.Through {
				new.late++
			}
		}
		start = end
	}
}
