package ingest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

//go:embed sql/known.sql
var selectKnown string

// lookupIDs is how many ids one query asks for.
const lookupIDs = 5_000

// lookupTimeout bounds how long a batch from the network waits for the answer
// whether ClickHouse knows its events.
const lookupTimeout = 2 * time.Second

// lookupOld marks the records that the merged log knows, of those that are not
// fresh and not remembered.
func (n *Node) lookupOld(ctx context.Context, server string, records []candidate, now time.Time) error {
	old := make(map[key][]*candidate)
	var ids []string
	n.mu.Lock()
	for i := range records {
		c := &records[i]
		if now.Sub(c.Instant.Time()) < n.cfg.LookupAfter || n.recent == nil {
			continue
		}
		if _, same, _ := n.recent.find(c.key, c.Content); !same {
			old[c.key] = append(old[c.key], c)
			ids = append(ids, c.ID)
		}
	}
	n.mu.Unlock()
	if len(old) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return n.known(ctx, server, ids, func(k key, content rules.Content, own uint64) {
		for _, c := range old[k] {
			c.known = true
			if c.Content == content && (!c.same || own == 0) {
				c.same, c.own = true, own
			}
		}
	})
}

// known calls fn with every event of a server in the merged log that has one of the
// ids, and its offset if it is one of this node. A row counts if its node has published its
// place, and has named it neither lost nor void: any other may be gone again, or is read by
// no settlement.
func (n *Node) known(ctx context.Context, server string, ids []string, fn func(k key, content rules.Content, own uint64)) error {
	words := map[string]*word{}
	for some := range slices.Chunk(ids, lookupIDs) {
		rows, err := n.knownSome(ctx, server, some)
		if err != nil {
			return fmt.Errorf("look up events of %s: %w", quote(server), err)
		}
		for _, r := range rows {
			if words[r.node] == nil {
				w, err := n.word(ctx, r.node)
				if err != nil {
					return fmt.Errorf("look up events of %s: %w", quote(server), err)
				}
				words[r.node] = &w
			}
			if w := words[r.node]; r.offset > w.offset || w.lost.has(r.offset) || w.void.has(r.offset) {
				continue
			}
			own := uint64(0)
			if r.node == n.cfg.Node {
				own = r.offset
			}
			fn(identityKey(server, r.id), r.content, own)
		}
	}
	return nil
}

// knownRow is an event as the merged log has it.
type knownRow struct {
	id      string
	content rules.Content
	node    string
	offset  uint64
}

func (n *Node) knownSome(ctx context.Context, server string, ids []string) (found []knownRow, err error) {
	rows, err := n.conn.Query(ctx, selectKnown, clickhouse.Named("server", server), clickhouse.Named("ids", ids))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		var r knownRow
		var content string
		if err := rows.Scan(&r.id, &content, &r.node, &r.offset); err != nil {
			return nil, err
		}
		r.content = rules.Content([]byte(content))
		found = append(found, r)
	}
	return found, nil
}
