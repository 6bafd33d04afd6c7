package ingest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

var (
	//go:embed sql/nodes.sql
	selectNodes string
	//go:embed sql/holes.sql
	selectHoles string
)

// NodeState is a node as its newest row of progress has it.
type NodeState struct {
	Node      string               `json:"node"`
	Offset    uint64               `json:"offset,string"`
	Watermark rules.Instant        `json:"watermark"`
	Since     rules.Instant        `json:"since"` // when it spoke last, by its own clock
	Regions   []rules.RegionMark   `json:"regions"`
	Silent    []rules.SilentServer `json:"silent"`
	Retired   bool                 `json:"retired"` // and it has sent no event since
	Reason    string               `json:"reason,omitempty"`
	Holes     []rules.Span         `json:"holes"` // offsets that the log lacks, at most maxHoles
	Lost      []rules.Span         `json:"lost"`  // offsets that are gone for good, no holes any more
	Void      []rules.Span         `json:"void"`  // offsets in which nothing was acknowledged
}

// maxHoles is how many holes of a node are named.
const maxHoles = 20

// ErrUnknownNode says that no node of that name has ever said anything.
var ErrUnknownNode = errors.New("no node of that name has published anything; nodes list names those that have")

// Nodes returns every node that has said something, by name.
func Nodes(ctx context.Context, conn driver.Conn) (nodes []NodeState, err error) {
	rows, err := conn.Query(ctx, selectNodes)
	if err != nil {
		return nil, fmt.Errorf("read the nodes: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s NodeState
		var watermark, since int64
		var regions, silent, lost, void [][]any
		if err := rows.Scan(&s.Node, &s.Offset, &watermark, &since, &regions, &silent, &lost, &void, &s.Retired, &s.Reason); err != nil {
			return nil, fmt.Errorf("read the nodes: %w", err)
		}
		m, err := readMark(watermark, regions, silent)
		if err != nil {
			return nil, fmt.Errorf("read the nodes: %w", err)
		}
		gone, err := readSpans(lost)
		if err != nil {
			return nil, fmt.Errorf("read the nodes: %w", err)
		}
		empty, err := readSpans(void)
		if err != nil {
			return nil, fmt.Errorf("read the nodes: %w", err)
		}
		s.Lost, s.Void = gone, empty
		s.Watermark, s.Since, s.Regions, s.Silent = rules.Instant(watermark), rules.Instant(since), m.regions, m.silent
		nodes = append(nodes, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the nodes: %w", err)
	}
	for i := range nodes {
		if nodes[i].Holes, err = holes(ctx, conn, &nodes[i]); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// holes returns the first ranges of offsets that are missing in arrivals, those aside that are
// named as lost or void. It begins at the first offset that is there: older rows were
// removed on purpose and are no hole.
func holes(ctx context.Context, conn driver.Conn, s *NodeState) (list []rules.Span, err error) {
	skipped := spans(s.Lost).with(s.Void...)
	most := maxHoles + 2*len(skipped) // each of them may be missing, and part another range
	rows, err := conn.Query(ctx, selectHoles, clickhouse.Named("node", s.Node), clickhouse.Named("last", s.Offset), clickhouse.Named("most", most))
	if err != nil {
		return nil, fmt.Errorf("look for holes of node %s: %w", s.Node, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	list = []rules.Span{}
	for rows.Next() {
		var span rules.Span
		if err := rows.Scan(&span.First, &span.Last); err != nil {
			return nil, fmt.Errorf("look for holes of node %s: %w", s.Node, err)
		}
		list = append(list, skipped.between(span.First, span.Last)...)
	}
	return list[:min(len(list), maxHoles)], rows.Err()
}

// Retire records that nobody is to wait for a node until it sends an event again. It
// is a fact that later cuts read; what was settled does not change.
func Retire(ctx context.Context, conn driver.Conn, node, reason string, now time.Time) error {
	nodes, err := Nodes(ctx, conn)
	if err != nil {
		return err
	}
	for _, s := range nodes {
		if s.Node != node {
			continue
		}
		batch, err := conn.PrepareBatch(insertSettings(ctx), "INSERT INTO retirements (node, offset, reason, at_ns)")
		if err != nil {
			return fmt.Errorf("retire node %s: %w", node, err)
		}
		defer func() { _ = batch.Close() }() // after Send there is nothing to close
		if err := batch.Append(node, s.Offset, reason, now.UnixNano()); err != nil {
			return fmt.Errorf("retire node %s: %w", node, err)
		}
		if err := batch.Send(); err != nil {
			return fmt.Errorf("retire node %s: %w", node, err)
		}
		return nil
	}
	return fmt.Errorf("retire %s: %w", quote(node), ErrUnknownNode)
}
