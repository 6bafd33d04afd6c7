package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
	"photofinish/ingest/keys"
	"photofinish/settle/cost"
)

// The limits of events a CPU second, from the request to where a settlement sees them.
const (
	minVisible = 2   // beside the same requests, sent to ClickHouse
	minBulk    = 0.7 // beside all of them in one
)

// visibleKeys is how many game servers share the writers: a key has its share of requests
// a second.
const visibleKeys = 8

// measureVisible is a node in a process of its own, from the request to the log.
func measureVisible(ctx context.Context, in *intake) (err error) {
	binary, err := in.photofinish(ctx)
	if err != nil {
		return err
	}
	data := filepath.Join(in.dir, "visible")
	httpAddr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(httpAddr)
	if err != nil {
		return err
	}
	// The node joins this engine, which it would start without HTTP.
	server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: data, Progress: os.Stderr, ExtraXML: "<http_port>" + port + "</http_port>"}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	node, err := newChild(ctx, binary, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.stop()) }()
	if err := node.start(ctx, "ingest"); err != nil {
		return err
	}
	v := &visible{in: in, node: node, http: httpAddr, m: meter{cost.Wrap(server.Conn())}}
	if err := v.prepare(ctx); err != nil {
		return err
	}
	in.section(fmt.Sprintf("visible  %d requests of %d events over HTTP until they are in the log and known by their identity", in.visible, appendEvents))
	in.note("The floors send the same to ClickHouse's HTTP, as JSONEachRow with async_insert=1 and wait_for_async_insert=1, or all of\n" +
		"it in one request, into a table of the log's columns. CPU of photofinish and of ClickHouse, and not of the client.")
	for _, floor := range []struct {
		what  string
		send  func(context.Context) (usage, error)
		limit float64
	}{
		{"the same requests", v.requests, minVisible}, {"one bulk load", v.bulk, minBulk},
	} {
		took, err := inTurns(in.turns, func() (usage, error) { return v.ours(ctx) }, func() (usage, error) { return floor.send(ctx) })
		if err != nil {
			return err
		}
		events := float64(in.visible * appendEvents)
		perCPU := func(u usage) string { return grouped(uint64(events / u.cpu.Seconds())) }
		perSecond := func(u usage) string { return grouped(uint64(events / u.wall.Seconds())) }
		in.atLeast("beside "+floor.what+": events a CPU second", perCPU(took.ours), perCPU(took.floor), 1/took.cpu, floor.limit)
		in.line("  events a second", perSecond(took.ours), perSecond(took.floor), 1/took.wall, 0)
	}
	return nil
}

// visible are the turns of one node and of the engine that it shares with its floors.
type visible struct {
	in   *intake
	node *child
	http string // of ClickHouse
	m    meter
	user []string // headers that say who asks ClickHouse
	keys []string
	sent int // requests of each key so far
}

// prepare makes keys, waits until the node knows them, and reads who may use the engine.
func (v *visible) prepare(ctx context.Context) error {
	if err := ingest.Migrate(ctx, v.m.conn.Conn); err != nil { // the node does it, too, but perhaps later
		return err
	}
	for k := range visibleKeys {
		text, _, err := keys.Create(ctx, v.m.conn.Conn, keys.Grant{Role: keys.RoleServer, Server: fmt.Sprint("server-", k), Region: "eu", Timezone: "UTC"}, time.Now())
		if err != nil {
			return err
		}
		v.keys = append(v.keys, text)
	}
	if err := v.node.knows(ctx, v.keys[len(v.keys)-1]); err != nil {
		return err
	}
	for _, statement := range []string{
		"SYSTEM STOP MERGES", // they come when they come, in either's turn
		"SYSTEM START LISTEN HTTP",
	} {
		if err := v.m.conn.Conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	var engine struct{ User, Password string }
	text, err := os.ReadFile(filepath.Join(v.node.data, "clickhouse", "engine.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &engine); err != nil {
		return err
	}
	v.user = []string{"X-ClickHouse-User: " + engine.User, "X-ClickHouse-Key: " + engine.Password}
	return nil
}

// knows waits until the node knows a key.
func (c *child) knows(ctx context.Context, key string) error {
	return c.until(ctx, time.Minute, "it does not learn of a new key", func() (bool, error) {
		client, err := dial(ctx, c.listen)
		if err != nil {
			return false, err
		}
		status, _, err := client.send(push(key, nil)) // of no events
		return status == 200, errors.Join(err, client.close())
	})
}

// lists shares a turn's requests out to the writers. Each is written by make, for a key
// and the number of its first event.
func (v *visible) lists(write func(key, from int) []byte) [][][]byte {
	lists := make([][][]byte, httpWriters)
	for i := range v.in.visible {
		key := i % len(v.keys)
		w := i % httpWriters
		lists[w] = append(lists[w], write(key, (v.sent+i/len(v.keys))*appendEvents))
	}
	return lists
}

// ours pushes new events to the node and waits until all tables of the log hold them.
func (v *visible) ours(ctx context.Context) (took usage, err error) {
	lists := v.lists(func(key, from int) []byte { return push(v.keys[key], lines(from, appendEvents)) })
	v.sent += (v.in.visible + len(v.keys) - 1) / len(v.keys)
	events := uint64(v.in.visible * appendEvents)
	var before uint64
	if err := v.m.conn.Conn.QueryRow(ctx, "SELECT count() FROM event_log").Scan(&before); err != nil {
		return took, err
	}
	took, err = used(v.node.cpu, func() error {
		err := sendAll(ctx, v.node.listen, lists, func(status int, body []byte) error { return acknowledges(status, body, appendEvents) })
		if err != nil {
			return err
		}
		return v.node.until(ctx, 10*time.Minute, "the log does not hold what was acknowledged", func() (bool, error) {
			var log, identities uint64
			err := v.m.conn.Conn.QueryRow(ctx, "SELECT (SELECT count() FROM event_log), (SELECT count() FROM identities)").Scan(&log, &identities)
			return min(log, identities) >= before+events, err
		})
	})
	if err != nil {
		return took, err
	}
	for _, table := range []string{"event_log", "identities"} {
		var rows, distinct uint64
		if err := v.m.conn.Conn.QueryRow(ctx, "SELECT count(), uniqExact(server, id) FROM "+table).Scan(&rows, &distinct); err != nil {
			return took, err
		}
		if want := before + events; rows != want || distinct != want {
			return took, void("%s holds %d rows of %d events, want %d", table, rows, distinct, want)
		}
	}
	return took, nil
}

// requests sends as many events to ClickHouse as the node gets, in requests of the same
// size.
func (v *visible) requests(ctx context.Context) (usage, error) {
	path := v.insert("&async_insert=1&wait_for_async_insert=1")
	return v.floor(ctx, v.lists(func(key, from int) []byte {
		return post(path, rows(fmt.Sprint("server-", key), from, appendEvents), v.user...)
	}))
}

// bulk sends them in one.
func (v *visible) bulk(ctx context.Context) (usage, error) {
	return v.floor(ctx, [][][]byte{{post(v.insert(""), rows("server", 0, v.in.visible*appendEvents), v.user...)}})
}

func (v *visible) insert(settings string) string {
	return "/?database=photofinish&query=" + url.QueryEscape("INSERT INTO bare FORMAT JSONEachRow") + settings
}

// floor has ClickHouse take requests into a table of its own, which has to hold all of
// their events, and takes it away again.
func (v *visible) floor(ctx context.Context, lists [][][]byte) (took usage, err error) {
	if err := v.m.conn.Conn.Exec(ctx, "CREATE TABLE bare AS event_log"); err != nil {
		return took, err
	}
	took, err = used(v.node.engineCPU, func() error {
		return sendAll(ctx, v.http, lists, func(status int, body []byte) error {
			if status != 200 {
				return fmt.Errorf("ClickHouse answers %d: %.500s", status, body)
			}
			return nil
		})
	})
	if err != nil {
		return took, err
	}
	var held, distinct uint64
	if err := v.m.conn.Conn.QueryRow(ctx, "SELECT count(), uniqExact(server, id) FROM bare").Scan(&held, &distinct); err != nil {
		return took, err
	}
	if want := uint64(v.in.visible * appendEvents); held != want || distinct != want {
		return took, void("the floor holds %d rows of %d events, want %d", held, distinct, want)
	}
	return took, v.m.conn.Conn.Exec(ctx, "DROP TABLE bare SYNC")
}

// used returns what work took by a clock of CPU.
func used(cpu func() (time.Duration, error), work func() error) (usage, error) {
	before, err := cpu()
	if err != nil {
		return usage{}, err
	}
	began := time.Now()
	if err := work(); err != nil {
		return usage{}, err
	}
	wall := time.Since(began)
	after, err := cpu()
	// The kernel counts in hundredths.
	return usage{wall: wall, cpu: max(after-before, 10*time.Millisecond)}, err
}

// rows writes events as lines does, with the names and the numbers that the log has for
// them; what a node adds to them is left out, in favour of the floor.
func rows(server string, from, events int) []byte {
	now := time.Now().UnixNano()
	var b bytes.Buffer
	for i := range events {
		n := from + i
		fmt.Fprintf(&b, `{"server":%q,"region":"eu","id":"%d","type":"kill","at_ns":`, server, n)
		b.WriteString(strconv.FormatInt(now+int64(i), 10))
		fmt.Fprintf(&b, `,"player":"p%d","guild":"g%d","target":"rabbit","count":1,"seq":%d,"attrs":{"weapon":"bow"}}`+"\n", n%1000, n%100, n+1)
	}
	return b.Bytes()
}
