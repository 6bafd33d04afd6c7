package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// history is the merged log, sorted once by what each cut took in. Rows are named by
// their place in the log.
type history struct {
	log  []rules.Record
	cuts []intake       // from cut 1
	came map[int]uint64 // of a backdated row that counts: the cut that took it in
}

// intake is what a cut took in.
type intake struct {
	rows      []int         // that no cut before holds, by identity
	fresh     []int         // one row for each identity that is new: the copy that counts
	conflicts []rules.Entry // of identities of which another content came
	numbers   []rules.Numbered
}

// events returns how many identities the cuts took in.
func (h *history) events() (n uint64) {
	for i := range h.cuts {
		n += uint64(len(h.cuts[i].fresh))
	}
	return n
}

// readLog reads the merged log and checks that each event's content is what its fields
// say, and that no place of a node holds two different rows.
func readLog(ctx context.Context, conn driver.Conn, v *Verification) ([]rules.Record, error) {
	const statement = `SELECT node, offset, content, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, backdated,
    player, guild, target, sku, count, price_minor, currency, attrs
FROM event_log`
	var log []rules.Record
	words := map[string]string{}
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
		for _, word := range []*string{&r.Node, &r.Server, &r.Region, &r.Type, &r.Player, &r.Guild, &r.Target, &r.SKU, &r.Price.Currency} {
			if _, known := words[*word]; !known {
				words[*word] = *word
			}
			*word = words[*word] // so that a name is in memory once, not once an event
		}
		log = append(log, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return log, nil
}

// newHistory finds the cut that first holds each row, the copy of each event that
// counts, and the conflicts, as the contract says it: of several contents that which
// came first counts, and of its copies the one of the earliest cut whose time is known
// best.
func newHistory(log []rules.Record, cuts []rules.Cut, v *Verification) *history {
	h := &history{log: log, cuts: make([]intake, len(cuts)), came: map[int]uint64{}}
	cutOf := make([]int, len(log))
	var held []int
	places := h.places(v)
	h.number(places, cuts)
	for _, i := range places {
		r := &log[i]
		// Both bounds of a cut only grow: the first that has passed both holds the row.
		n := sort.Search(len(cuts), func(k int) bool { return r.Instant < cuts[k].Through && r.Offset <= cuts[k].Offset(r.Node) })
		if n < len(cuts) && cuts[n].Holds(r.Node, r.Offset, r.Instant) {
			cutOf[i], held = n, append(held, i)
		}
	}
	// The places are in order, so that a stable sort leaves rows of one cut by node and offset.
	slices.SortStableFunc(held, func(a, b int) int {
		return cmp.Or(log[a].Identity().Compare(log[b].Identity()), cmp.Compare(cutOf[a], cutOf[b]))
	})
	for start := 0; start < len(held); {
		end := start + 1
		for end < len(held) && log[held[end]].Identity() == log[held[start]].Identity() {
			end++
		}
		h.take(held[start:end], cutOf)
		start = end
	}
	return h
}

// number finds the running numbers that each cut took in: those of the rows within its
// offsets, whatever their time.
func (h *history) number(places []int, cuts []rules.Cut) {
	numbers := make([]map[string][]uint64, len(cuts))
	for _, i := range places {
		r := &h.log[i]
		n := sort.Search(len(cuts), func(k int) bool { return r.Offset <= cuts[k].Offset(r.Node) })
		if n == len(cuts) || r.Seq == 0 || !cuts[n].Within(r.Node, r.Offset) {
			continue
		}
		if numbers[n] == nil {
			numbers[n] = map[string][]uint64{}
		}
		numbers[n][r.Server] = append(numbers[n][r.Server], r.Seq)
	}
	var numbering rules.Numbering
	previous := &rules.Cut{}
	for n := range cuts {
		h.cuts[n].numbers = numbering.Take(previous, &cuts[n], numbers[n])
		previous = &cuts[n]
		numbers[n] = nil
	}
}

// places returns the rows by node and offset, a row that was inserted several times
// once.
func (h *history) places(v *Verification) []int {
	rows := make([]int, len(h.log))
	for i := range rows {
		rows[i] = i
	}
	slices.SortFunc(rows, func(a, b int) int {
		x, y := &h.log[a], &h.log[b]
		return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(x.Offset, y.Offset), x.Identity().Compare(y.Identity()), cmp.Compare(a, b))
	})
	before := -1
	return slices.DeleteFunc(rows, func(i int) bool {
		r := &h.log[i]
		if before < 0 || h.log[before].Node != r.Node || h.log[before].Offset != r.Offset {
			before = i
			return false
		}
		b := &h.log[before]
		if before = i; b.Identity() != r.Identity() || b.Content != r.Content || b.Instant != r.Instant ||
			b.Earliest != r.Earliest || b.Latest != r.Latest || b.Backdated != r.Backdated {
			v.mismatch("table event_log, node %s, offset %d: two different rows stand there, of events %s/%s and %s/%s",
				r.Node, r.Offset, b.Server, b.ID, r.Server, r.ID)
		}
		return b.Identity() == r.Identity()
	})
}

// take sorts the rows of one identity, in the order in which they came, into the cuts
// that took them in.
func (h *history) take(same, cutOf []int) {
	first := &h.log[same[0]]
	best, conflict := same[0], -1
	for _, i := range same {
		r, cut := &h.log[i], cutOf[i]
		h.cuts[cut].rows = append(h.cuts[cut].rows, i)
		switch {
		case r.Content != first.Content:
			if conflict < 0 {
				conflict = cut
			}
		case cut == cutOf[same[0]] && r.Latest-r.Earliest < h.log[best].Latest-h.log[best].Earliest:
			best = i
		}
	}
	born := &h.cuts[cutOf[same[0]]]
	born.fresh = append(born.fresh, best)
	if h.log[best].Backdated {
		h.came[best] = uint64(cutOf[best] + 1)
	}
	if conflict < 0 {
		return
	}
	players := []string{}
	for _, i := range same {
		if cutOf[i] <= conflict {
			players = append(players, h.log[i].Player)
		}
	}
	slices.Sort(players)
	h.cuts[conflict].conflicts = append(h.cuts[conflict].conflicts, rules.Entry{Kind: rules.KindConflict, Conflict: &rules.Conflict{
		Identity: first.Identity(), Counts: first.Content, Players: slices.Compact(players),
	}})
}
