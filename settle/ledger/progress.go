package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
	"photofinish/rules/hour"
)

// Progress returns what nodes have said: of each the last word, and those from the
// last cut's line on; and which of them people retired.
func (s *Store) Progress(ctx context.Context, last *rules.Cut) (hour.Progress, error) {
	p := hour.Progress{}
	var nodes []string
	var published []uint64
	for _, l := range last.Nodes {
		nodes, published = append(nodes, l.Node), append(published, l.Published)
	}
	rows, err := s.conn.Query(ctx, `SELECT node, published, at_ns, offset, watermark_ns, regions.region, regions.watermark_ns,
    silent.server, silent.watermark_ns, silent.since_ns, lost.first, lost.last, void.first, void.last,
    unused.server, unused.first, unused.last, life
FROM progress
WHERE published >= transform(toString(node), {nodes:Array(String)}, {published:Array(UInt64)}, toUInt64(0))
ORDER BY node, published`, clickhouse.Named("nodes", append(nodes, "")), clickhouse.Named("published", append(published, 0)))
	if err != nil {
		return p, fmt.Errorf("read the nodes' progress: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r hour.Row
		var at, watermark int64
		var regions, servers []string
		var regionMarks, serverMarks, since []int64
		var unusedServers []string
		var lostFirst, lostLast, voidFirst, voidLast, unusedFirst, unusedLast []uint64
		err := rows.Scan(&r.Node, &r.Published, &at, &r.Offset, &watermark, &regions, &regionMarks,
			&servers, &serverMarks, &since, &lostFirst, &lostLast, &voidFirst, &voidLast, &unusedServers, &unusedFirst, &unusedLast, &r.Life)
		if err != nil {
			return p, fmt.Errorf("read the nodes' progress: %w", err)
		}
		r.At, r.Watermark = rules.Instant(at), rules.Instant(watermark)
		for i, region := range regions {
			r.Regions = append(r.Regions, rules.RegionMark{Region: region, Watermark: rules.Instant(regionMarks[i])})
		}
		for i, server := range servers {
			r.Silent = append(r.Silent, rules.SilentServer{Server: server, Watermark: rules.Instant(serverMarks[i]), Since: rules.Instant(since[i])})
		}
		for i, span := range spans(unusedFirst, unusedLast) {
			r.Unused = append(r.Unused, rules.Unused{Server: unusedServers[i], Span: span})
		}
		r.Lost, r.Void = spans(lostFirst, lostLast), spans(voidFirst, voidLast)
		p.Rows = append(p.Rows, r)
	}
	if err := rows.Err(); err != nil {
		return p, fmt.Errorf("read the nodes' progress: %w", err)
	}
	if p.Lives, err = s.lives(ctx); err != nil {
		return p, err
	}
	p.Retired, err = s.retired(ctx)
	return p, err
}

// lives returns the names of the engine's present life. They are read after progress: a
// row that names one of them was counted in this life.
func (s *Store) lives(ctx context.Context) (lives []string, err error) {
	rows, err := s.conn.Query(ctx, "SELECT token FROM life ORDER BY token")
	if err != nil {
		return nil, fmt.Errorf("read the engine's life: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	lives = []string{}
	for rows.Next() {
		var token string
		if err := rows.Scan(&token); err != nil {
			return nil, fmt.Errorf("read the engine's life: %w", err)
		}
		lives = append(lives, token)
	}
	return lives, rows.Err()
}

func spans(first, last []uint64) []rules.Span {
	var all []rules.Span
	for i := range first {
		all = append(all, rules.Span{First: first[i], Last: last[i]})
	}
	return all
}

func (s *Store) retired(ctx context.Context) (retired []hour.Retirement, err error) {
	rows, err := s.conn.Query(ctx, "SELECT node, max(offset) FROM retirements GROUP BY node ORDER BY node")
	if err != nil {
		return nil, fmt.Errorf("read the retired nodes: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r hour.Retirement
		if err := rows.Scan(&r.Node, &r.Offset); err != nil {
			return nil, fmt.Errorf("read the retired nodes: %w", err)
		}
		retired = append(retired, r)
	}
	return retired, rows.Err()
}
