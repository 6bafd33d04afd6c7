package ingest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

//go:embed sql/identities.sql
var selectIdentities string

// lookupTimeout bounds how long a batch from the network waits for the answer
// whether ClickHouse knows its events.
const lookupTimeout = 2 * time.Second

// lookupOld marks the records that the merged log knows, of those that are not
// fresh and not remembered.
func (n *Node) lookupOld(ctx context.Context, server string, records []candidate, now time.Time) error {
	old := make(map[key][]*candidate)
	from, to := rules.MaxInstant, rules.MinInstant
	n.mu.Lock()
	for i := range records {
		c := &records[i]
		if now.Sub(c.Instant.Time()) >= n.cfg.LookupAfter && n.recent != nil && !n.recent.has(c.exact) {
			old[c.key] = append(old[c.key], c)
			from, to = min(from, c.At), max(to, c.At)
		}
	}
	n.mu.Unlock()
	if len(old) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return n.identities(ctx, server, from, to, func(k key, content rules.Content) {
		for _, c := range old[k] {
			c.known = true
			c.same = c.same || c.Content == content
		}
	})
}

// identities calls fn with every event of a server in the merged log that happened
// from one instant to another, both included, by the server's clock.
func (n *Node) identities(ctx context.Context, server string, from, to rules.Instant, fn func(key, rules.Content)) (err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"server":  server,
		"from_ns": strconv.FormatInt(int64(from), 10),
		"to_ns":   strconv.FormatInt(int64(to), 10),
	}))
	rows, err := n.conn.Query(ctx, selectIdentities)
	if err != nil {
		return fmt.Errorf("look up events of %s: %w", quote(server), err)
	}
	defer func() {
		if e := errors.Join(rows.Err(), rows.Close()); e != nil {
			err = errors.Join(err, fmt.Errorf("look up events of %s: %w", quote(server), e))
		}
	}()
	for rows.Next() {
		var id, content string
		if err := rows.Scan(&id, &content); err != nil {
			return fmt.Errorf("look up events of %s: %w", quote(server), err)
		}
		fn(identityKey(server, id), rules.Content([]byte(content)))
	}
	return nil
}
