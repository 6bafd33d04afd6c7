package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
)

// minCatchUp is how fast a backlog is forwarded at least, beside what has just come in.
const minCatchUp = 0.8

// backlogTurns is how many times as long as what is forwarded at once a backlog is.
const backlogTurns = 4

// measureCatchUp is a node that ClickHouse, or it itself, was away from for a while.
func measureCatchUp(ctx context.Context, in *intake) error {
	return in.withEngine(ctx, "catchup", func(server *clickhouse.Server, m meter) error {
		if err := ingest.Migrate(ctx, server.Conn()); err != nil {
			return err
		}
		if err := m.conn.Conn.Exec(ctx, "SYSTEM STOP MERGES"); err != nil {
			return err
		}
		backlog := backlogTurns * in.forwards
		in.section(fmt.Sprintf("catchup  a backlog of %d events, which a node finds when it starts, beside %d that have just come in", backlog, in.forwards))
		dir := filepath.Join(in.dir, "nodes-catchup")
		node, err := openNode(server.Conn(), "steady", dir)
		if err != nil {
			return err
		}
		steady := &forwarding{in: in, m: m, node: node, name: "steady"}
		behind := &forwarding{in: in, m: m, name: "behind"}
		took, err := inTurns(in.turns, func() (usage, error) {
			took, err := behind.late(ctx, dir, backlog)
			return took.per(backlogTurns), err
		}, func() (usage, error) { return steady.ours(ctx) })
		if err := errors.Join(err, node.Close()); err != nil {
			return err
		}
		perSecond := func(u usage) string { return grouped(uint64(float64(in.forwards) / u.wall.Seconds())) }
		perCPU := func(u usage) string { return grouped(uint64(float64(in.forwards) / u.cpu.Seconds())) }
		in.atLeast("events a second", perSecond(took.ours), perSecond(took.floor), 1/took.wall, minCatchUp)
		in.atLeast("events a CPU second", perCPU(took.ours), perCPU(took.floor), 1/took.cpu, minCatchUp)
		return nil
	})
}

// late has a node accept a backlog and end, and measures how it forwards that after its
// next start.
func (f *forwarding) late(ctx context.Context, dir string, backlog int) (took usage, err error) {
	if f.node, err = openNode(f.m.conn.Conn, f.name, dir); err != nil {
		return took, err
	}
	if err := errors.Join(f.accept(ctx, backlog), f.node.Close()); err != nil {
		return took, err
	}
	if f.node, err = openNode(f.m.conn.Conn, f.name, dir); err != nil {
		return took, err
	}
	took, err = f.forward(ctx)
	return took, errors.Join(err, f.node.Close())
}
