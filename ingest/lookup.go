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
		if now.Sub(c.Instant.Time()) >= n.cfg.LookupAfter && n.recent != nil && !n.recent.has(c.exact) {
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
	return n.known(ctx, server, ids, func(k key, content rules.Content) {
		for _, c := range old[k] {
			c.known = true
			c.same = c.same || c.Content == content
		}
	})
}

// known calls fn with every event of a server in the merged log that has one of the
// ids.
func (n *Node) known(ctx context.Context, server string, ids []string, fn func(key, rules.Content)) error {
	for some := range slices.Chunk(ids, lookupIDs) {
		if err := n.knownSome(ctx, server, some, fn); err != nil {
			return fmt.Errorf("look up events of %s: %w", quote(server), err)
		}
	}
	return nil
}

func (n *Node) knownSome(ctx context.Context, server string, ids []string, fn func(key, rules.Content)) (err error) {
	rows, err := n.conn.Query(ctx, selectKnown, clickhouse.Named("server", server), clickhouse.Named("ids", ids))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		var id, content string
		if err := rows.Scan(&id, &content); err != nil {
			return err
		}
		fn(identityKey(server, id), rules.Content([]byte(content)))
	}
	return nil
}
