package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// numbers returns what running numbers the cut takes in, by server, and writes down the
// least, the greatest and how many for the cuts to come. It reads the rows within the cut's
// offsets that the one before did not read, whatever their time: what happened after the
// end of the hour is not missing.
func (r *Reader) numbers(ctx context.Context, prev, cut *rules.Cut) ([]rules.Numbered, error) {
	var all []rules.Numbered
	var err error
	if slices.ContainsFunc(cut.Nodes, func(l rules.NodeLine) bool { return l.Offset > prev.Offset(l.Node) }) {
		if all, err = r.came(ctx, prev, cut); err != nil {
			return nil, err
		}
	}
	all = rules.WithUnused(all, prev, cut)
	lost := uint64(0)
	for _, l := range cut.Losses() {
		lost += l.Last - l.First + 1
	}
	if len(all) == 0 && lost == 0 {
		return nil, nil
	}
	if err := r.before(ctx, all, cut); err != nil {
		return nil, err
	}
	var servers []string
	var firsts, lasts, counts []uint64
	for _, n := range all {
		servers, firsts, lasts, counts = append(servers, n.Server), append(firsts, n.In.First), append(lasts, n.In.Last), append(counts, n.In.Count)
	}
	if len(all) == 0 {
		servers, firsts, lasts, counts = []string{""}, []uint64{0}, []uint64{0}, []uint64{0}
	}
	// A crash here leaves rows of a cut that is not settled: they are written again, and no
	// cut reads its own.
	return all, r.insert(ctx, "INSERT INTO numbers (cut, server, first, last, count, lost)",
		slices.Repeat([]uint64{cut.Number}, len(servers)), servers, firsts, lasts, counts, slices.Repeat([]uint64{lost}, len(servers)))
}

// came reads the numbers of the rows.
func (r *Reader) came(ctx context.Context, prev, cut *rules.Cut) (all []rules.Numbered, err error) {
	q := &query{}
	// Most servers left out nothing, which the count says; only the others' runs are looked for.
	statement := `SELECT toString(server), min(seq), max(seq), groupBitmap(seq)
FROM arrivals
WHERE ` + q.lines(cut.Nodes, prev) + ` AND seq > 0
GROUP BY server
ORDER BY server`
	var holed []string
	err = r.each(ctx, fmt.Sprintf("read the numbers of cut %d", cut.Number), statement, q.args, func(rows driver.Rows) error {
		var n rules.Numbered
		if err := rows.Scan(&n.Server, &n.In.First, &n.In.Last, &n.In.Count); err != nil {
			return err
		}
		if n.In.Count-1 == n.In.Last-n.In.First {
			n.Runs = []rules.Span{{First: n.In.First, Last: n.In.Last}}
		} else {
			holed = append(holed, n.Server)
		}
		all = append(all, n)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, r.runs(ctx, all, holed, prev, cut)
}

// runs reads the runs of servers that left out numbers.
func (r *Reader) runs(ctx context.Context, all []rules.Numbered, holed []string, prev, cut *rules.Cut) error {
	if len(holed) == 0 {
		return nil
	}
	q := &query{}
	// In a run a number and its place differ by the same.
	statement := `SELECT toString(server), min(seq) AS first, max(seq)
FROM
(
    SELECT server, seq, seq - row_number() OVER (PARTITION BY server ORDER BY seq) AS run
    FROM
    (
        SELECT DISTINCT server, seq
        FROM arrivals
        WHERE ` + q.lines(cut.Nodes, prev) + ` AND seq > 0 AND server IN ` + q.texts(holed) + `
    )
)
GROUP BY server, run
ORDER BY server, first DESC
LIMIT ` + q.uint(rules.MaxRuns) + ` BY server`
	err := r.each(ctx, fmt.Sprintf("read what numbers cut %d lacks", cut.Number), statement, q.args, func(rows driver.Rows) error {
		var server string
		var run rules.Span
		if err := rows.Scan(&server, &run.First, &run.Last); err != nil {
			return err
		}
		i, _ := find(all, server)
		all[i].Runs = append(all[i].Runs, run)
		return nil
	})
	for i := range all {
		if len(all[i].Runs) > 1 {
			slices.Reverse(all[i].Runs)
		}
	}
	return err
}

// before reads where the servers' numbers had come to before the cut.
func (r *Reader) before(ctx context.Context, all []rules.Numbered, cut *rules.Cut) error {
	servers := make([]string, len(all))
	for i := range all {
		servers[i] = all[i].Server
	}
	q := &query{}
	lately := "cut BETWEEN " + q.uint(cut.Number-min(cut.Number, rules.NumberedCuts)) + " AND " + q.uint(cut.Number-1)
	statement := `SELECT toString(server), min(first), max(last), sum(count)
FROM
(
    SELECT DISTINCT cut, server, first, last, count
    FROM numbers
    WHERE ` + lately + ` AND server IN ` + q.texts(servers) + `
        AND (cut, lost) IN (SELECT cut, max(lost) FROM numbers WHERE ` + lately + ` GROUP BY cut)
)
GROUP BY server`
	return r.each(ctx, fmt.Sprintf("read the numbers before cut %d", cut.Number), statement, q.args, func(rows driver.Rows) error {
		var server string
		var known rules.Came
		if err := rows.Scan(&server, &known.First, &known.Last, &known.Count); err != nil {
			return err
		}
		i, _ := find(all, server)
		all[i].Known = known
		return nil
	})
}

func find(all []rules.Numbered, server string) (int, bool) {
	return slices.BinarySearchFunc(all, server, func(n rules.Numbered, name string) int { return strings.Compare(n.Server, name) })
}

// RestoreNumbers writes once more what the cuts after one wrote of numbers, each by itself.
// They are cuts as they were recorded, up to the last settled one.
func (r *Reader) RestoreNumbers(ctx context.Context, before *rules.Cut, cuts []rules.Cut, last *rules.Cut) error {
	prev := *before
	for i := range cuts {
		cut := cuts[i]
		var lost []rules.Loss
		for j := range cut.Nodes {
			l := &cut.Nodes[j]
			// What is lost stays so, and no node says it of what a cut has read.
			if now := last.Line(l.Node); now != nil {
				lost = append(lost, l.Losses(&prev, now.Lost)...)
			}
		}
		cut = cut.Without(lost)
		if _, err := r.numbers(ctx, &prev, &cut); err != nil {
			return err
		}
		prev = cut
	}
	return nil
}
