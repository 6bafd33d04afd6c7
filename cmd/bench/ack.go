package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/ingest"
	"photofinish/rules"
)

// measureAck is a node whose writers each wait for the answer before they send again.
func measureAck(ctx context.Context, in *intake) error {
	in.section("ack  a node without ClickHouse; each writer waits for its answer, beside a bare loop of one block a batch")
	turn := 0
	for _, c := range []struct{ writers, events, batches int }{
		{1, 1, in.acks / 10}, {64, 1, in.acks}, {64, appendEvents, in.acks / 10},
	} {
		took, err := inTurns(in.turns, func() (usage, error) {
			turn++
			return acceptAll(ctx, filepath.Join(in.dir, fmt.Sprint("ack-", turn)), c.writers, c.events, c.batches)
		}, func() (usage, error) {
			return writeAll(filepath.Join(in.dir, "bare"), c.batches, c.events*(payloadBytes+frameBytes))
		})
		if err != nil {
			return err
		}
		perSecond := func(u usage) string { return grouped(uint64(float64(c.batches) / u.wall.Seconds())) }
		in.line(fmt.Sprintf("%d writers, batches of %d: batches a second", c.writers, c.events), perSecond(took.ours), perSecond(took.floor), 1/took.wall, 0)
		in.line("  CPU of a batch", fmt.Sprint(took.ours.cpu/time.Duration(c.batches)), fmt.Sprint(took.floor.cpu/time.Duration(c.batches)), took.cpu, 0)
	}
	return nil
}

// acceptAll has a new node accept batches from writers at once, checks that it has each
// event once, and returns what the accepting took.
func acceptAll(ctx context.Context, dir string, writers, events, batches int) (took usage, err error) {
	node, err := openBenchNode(nil, dir)
	if err != nil {
		return took, err
	}
	each := batches / writers
	sent := make([][]ingest.Batch, writers)
	for w := range sent {
		for i := range each {
			sent[w] = append(sent[w], batchOf(fmt.Sprint("server-", w), i*events, events))
		}
	}
	took, err = own(func() error { return acceptAtOnce(ctx, node, sent) })
	if err == nil {
		err = void("the node took what it has already")
		if again, aerr := node.Accept(ctx, sent[0][0]); aerr != nil {
			err = aerr
		} else if again.Duplicates == events {
			err = nil
		}
	}
	err = errors.Join(err, node.Close())
	if err == nil {
		err = holds(filepath.Join(dir, nodeName), uint64(writers*each*events))
	}
	return took, errors.Join(err, os.RemoveAll(dir))
}

const nodeName = "bench"

// openBenchNode opens a new node with a folder of its own. It needs no connection to
// accept.
func openBenchNode(conn driver.Conn, dir string) (*ingest.Node, error) {
	return openNode(conn, nodeName, dir)
}

// openNode opens the node of that name whose folder is in dir.
func openNode(conn driver.Conn, name, dir string) (*ingest.Node, error) {
	// However slow the machine is, no event is so old that it is looked up.
	cfg := ingest.Config{Node: name, Dir: dir, LookupAfter: time.Hour}
	node, err := ingest.New(conn, slog.New(slog.DiscardHandler), cfg, time.Now)
	if err != nil {
		return nil, err
	}
	return node, node.Open()
}

// batchOf makes events of one server, numbered from a number on.
func batchOf(server string, from, events int) ingest.Batch {
	b := ingest.Batch{Server: server, Region: "eu", Events: make([]rules.Event, events)}
	now := rules.Instant(time.Now().UnixNano())
	for i := range b.Events {
		n := from + i
		b.Events[i] = rules.Event{
			ID: fmt.Sprint(n), Type: rules.TypeKill, At: now + rules.Instant(i), Player: fmt.Sprint("p", n%1000), Guild: fmt.Sprint("g", n%100),
			Target: "rabbit", Count: 1, Seq: uint64(n) + 1, Attrs: map[string]string{"weapon": "bow"},
		}
	}
	return b
}

// acceptAtOnce gives each list of batches to the node, one after the other, all lists at
// once.
func acceptAtOnce(ctx context.Context, node *ingest.Node, sent [][]ingest.Batch) error {
	errs := make([]error, len(sent))
	var all sync.WaitGroup
	for w := range sent {
		all.Go(func() {
			for _, b := range sent[w] {
				result, err := node.Accept(ctx, b)
				if err == nil && result.Accepted != len(b.Events) {
					err = void("%d of %d events were accepted: %+v", result.Accepted, len(b.Events), result)
				}
				if err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// holds checks how many payloads a spool has.
func holds(dir string, want uint64) error {
	s, err := openSpool(dir)
	if err != nil {
		return err
	}
	var read uint64
	err = s.Read(1, func(uint64, []byte) error { read++; return nil })
	if err == nil && read != want {
		err = void("the spool holds %d events, %d were acknowledged", read, want)
	}
	return errors.Join(err, s.Close())
}
