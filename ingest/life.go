package ingest

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"photofinish/ingest/spool"
)

//go:embed sql/life.sql
var createLife string

// enterLife asks under which life of the engine the log is held. What was counted in
// another one is counted again: a power cut takes rows that an insert was acknowledged
// for. The instant at which the engine started would not do, since two starts within a
// second look alike.
func (n *Node) enterLife(ctx context.Context, s *spool.Spool) error {
	tokens, err := n.lives(ctx)
	if err != nil {
		return err
	}
	if len(tokens) == 0 {
		if err := n.conn.Exec(insertSettings(ctx), "INSERT INTO life (token) VALUES ($1)", rand.Text()); err != nil {
			return fmt.Errorf("name the engine's life: %w", err)
		}
		// Another node may have put one there as well: either will do.
		if tokens, err = n.lives(ctx); err != nil {
			return err
		}
	}
	if len(tokens) == 0 {
		return errors.New("name the engine's life: the token is gone; the engine has just been restarted")
	}
	if !slices.Contains(tokens, n.forward.life) {
		n.forward.life, n.forward.verified = tokens[0], 0
		s.Recount()
	}
	return nil
}

// alive reports whether what was counted still counts.
func (n *Node) alive(ctx context.Context) (bool, error) {
	tokens, err := n.lives(ctx)
	return slices.Contains(tokens, n.forward.life), err
}

func (n *Node) lives(ctx context.Context) (tokens []string, err error) {
	rows, err := n.conn.Query(ctx, "SELECT token FROM life ORDER BY token")
	if err != nil {
		return nil, fmt.Errorf("read the engine's life: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		var token string
		if err := rows.Scan(&token); err != nil {
			return nil, fmt.Errorf("read the engine's life: %w", err)
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}
