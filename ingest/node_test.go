package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/ingest/spool"
	"photofinish/rules"
)

// noon is what the nodes' clocks say at the start of a test.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// clockAt is a clock that a test moves.
type clockAt struct{ t time.Time }

func (c *clockAt) now() time.Time { return c.t }

func newLog(t testing.TB) driver.Conn {
	t.Helper()
	conn := clickhousetest.New(t)
	for range 2 {
		if err := Migrate(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openNode opens a node that is closed with the test.
func openNode(t testing.TB, conn driver.Conn, cfg Config, at ...time.Time) (*Node, *clockAt) {
	t.Helper()
	clock := &clockAt{append(at, noon)[0]}
	if cfg.Node == "" {
		cfg.Node = "n1"
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	n, err := New(conn, discard(), cfg, clock.now)
	if err == nil {
		err = n.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n, clock
}

// event is a kill of a rabbit, seconds after noon.
func event(id string, seconds float64) rules.Event {
	return rules.Event{
		ID: id, Type: rules.TypeKill, At: rules.Instant(noon.Add(time.Duration(seconds * 1e9)).UnixNano()),
		Player: "p" + id, Target: "rabbit", Count: 1, Attrs: map[string]string{"weapon": "bow"},
	}
}

func events(from, to int) []rules.Event {
	var list []rules.Event
	for i := from; i <= to; i++ {
		list = append(list, event(fmt.Sprint("e", i), float64(i)/1000))
	}
	return list
}

func accept(t testing.TB, n *Node, server string, list ...rules.Event) Result {
	t.Helper()
	r, err := n.Accept(t.Context(), Batch{Server: server, Region: "eu", Events: list})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func forwardNow(t testing.TB, n *Node) {
	t.Helper()
	if err := n.Forward(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// logged counts what is in the merged log: different identities, and offsets.
func logged(t testing.TB, conn driver.Conn) (identities, offsets uint64) {
	t.Helper()
	err := conn.QueryRow(t.Context(), "SELECT uniqExact(server, id), uniqExact(node, offset) FROM event_log").Scan(&identities, &offsets)
	if err != nil {
		t.Fatal(err)
	}
	return identities, offsets
}

func wantLogged(t testing.TB, conn driver.Conn, identities, offsets uint64) {
	t.Helper()
	if i, o := logged(t, conn); i != identities || o != offsets {
		t.Fatalf("the log holds %d identities at %d offsets, want %d at %d", i, o, identities, offsets)
	}
}

// published returns a node's word: its offset, its watermark, those of regions, and the
// servers that it no longer waits for.
func published(t testing.TB, conn driver.Conn, node string) (offset uint64, watermark, rest string) {
	t.Helper()
	nodes, err := Nodes(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range nodes {
		if s.Node != node {
			continue
		}
		for _, r := range s.Regions {
			rest += r.Region + " " + clockText(r.Watermark) + ";"
		}
		for _, r := range s.Silent {
			rest += " " + r.Server + " silent;"
		}
		return s.Offset, clockText(s.Watermark), rest
	}
	t.Fatalf("node %s has said nothing", node)
	return 0, "", ""
}

func clockText(i rules.Instant) string { return i.Time().Format("15:04:05.999") }

func TestAcceptedEventIsInTheLogAsItWasSent(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	e := event("a", -1)
	e.Guild, e.SKU, e.Count, e.Seq, e.Price = "g7", "sku", 3, 183, rules.Money{Amount: 999, Currency: "USD"}
	r, err := n.Accept(t.Context(), Batch{Server: "eu-1", Region: "eu", Events: []rules.Event{e}, Clock: &Clock{OffsetNs: 2_000, ErrNs: 500}})
	if err != nil || r.Accepted != 1 {
		t.Fatal(r, err)
	}
	forwardNow(t, n)
	var got record
	var content string
	row := conn.QueryRow(t.Context(), `SELECT node, offset, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, player, guild, target, sku, count,
		price_minor, currency, attrs, content, received_ns FROM event_log`)
	var at, instant, earliest, latest int64
	if err := row.Scan(&got.Node, &got.Offset, &got.Server, &got.Region, &got.ID, &got.Type, &at, &got.Seq, &instant, &earliest, &latest, &got.Player,
		&got.Guild, &got.Target, &got.SKU, &got.Count, &got.Price.Amount, &got.Price.Currency, &got.Attrs, &content, &got.receivedNs); err != nil {
		t.Fatal(err)
	}
	got.Earliest, got.Latest = rules.Instant(earliest), rules.Instant(latest)
	got.At, got.Instant, got.Content = rules.Instant(at), rules.Instant(instant), rules.Content([]byte(content))
	e.Server, e.Region = "eu-1", "eu"
	want := record{receivedNs: noon.UnixNano()}
	want.Record = rules.Record{Event: e, Node: "n1", Offset: 1, Instant: e.At + 2_000, Content: e.Digest()}
	want.Exactly(500 + int64(DefaultNodeClockErr))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDuplicatesAndConflicts(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, clock := openNode(t, conn, Config{Dir: dir})
	changed := event("e2", 0.002)
	changed.Player = "another"
	for i, c := range []struct {
		before func()
		send   []rules.Event
		want   [3]int // accepted, duplicates, conflicts
	}{
		{nil, append(events(1, 3), events(2, 3)...), [3]int{3, 2, 0}},
		{nil, events(1, 4), [3]int{1, 3, 0}},
		{nil, []rules.Event{changed}, [3]int{1, 0, 1}},
		{nil, []rules.Event{changed}, [3]int{0, 1, 0}},
		{func() { // a restart, with all of it still in the spool
			_ = n.Close()
			n, clock = openNode(t, conn, Config{Dir: dir})
		}, append(events(1, 5), changed), [3]int{1, 5, 0}},
		{func() { // another node, which finds them in the log
			forwardNow(t, n)
			n, clock = openNode(t, conn, Config{Node: "n2"})
			clock.t = noon.Add(time.Hour)
		}, append(events(1, 6), changed), [3]int{1, 6, 0}},
	} {
		if c.before != nil {
			c.before()
		}
		r := accept(t, n, "s", c.send...)
		if got := [3]int{r.Accepted, r.Duplicates, r.Conflicts}; got != c.want {
			t.Errorf("step %d: accepted, duplicates, conflicts %v, want %v", i, got, c.want)
		}
	}
	// The same ids of another server are other events.
	if r := accept(t, n, "s2", events(1, 3)...); r.Accepted != 3 {
		t.Errorf("another server: %+v", r)
	}
	forwardNow(t, n)
	wantLogged(t, conn, 6+3, 6+1+3)
}

func TestRefusedAloneAndNamed(t *testing.T) {
	n, _ := openNode(t, newLog(t), Config{})
	late, long := event("late", 301), event("long", 0)
	long.Player = strings.Repeat("x", MaxTextBytes+1)
	r, err := n.Accept(t.Context(), Batch{
		Server: "s", Region: "eu", Lines: []int{2, 4, 7, 9},
		Events: []rules.Event{event("ok", 299), late, long, {ID: "buy", Type: rules.TypePurchase, At: event("", 0).At, Player: "p"}},
	})
	if err != nil || r.Accepted != 1 || len(r.Rejected) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, want := range []string{"4 late at", "7 long player", "9 buy sku"} {
		if got := fmt.Sprint(r.Rejected[i].Line, " ", r.Rejected[i].ID, " ", r.Rejected[i].Error); !strings.HasPrefix(got, want) {
			t.Errorf("rejected %d: %s, want %s…", i, got, want)
		}
	}
	if n.spool.Last() != 1 {
		t.Errorf("last offset %d", n.spool.Last())
	}
}

func TestAcceptsWhileClickHouseIsAway(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	if err := conn.Exec(t.Context(), "RENAME TABLE event_log TO away"); err != nil {
		t.Fatal(err)
	}
	n, clock := openNode(t, conn, Config{Dir: dir})
	clock.t = noon.Add(time.Hour) // old enough to be looked up
	if r := accept(t, n, "s", events(1, 10)...); r.Accepted != 10 {
		t.Fatalf("%+v", r)
	}
	if err := n.Forward(t.Context()); err == nil {
		t.Fatal("forwarded to a table that is away")
	}
	if err := conn.Exec(t.Context(), "RENAME TABLE away TO event_log"); err != nil {
		t.Fatal(err)
	}
	forwardNow(t, n)
	wantLogged(t, conn, 10, 10)
}

var errStopped = errors.New("stopped here")

// stopAt ends the call at the nth step of any name, from 1.
type stopAt struct{ left int }

func (s *stopAt) step(string) error {
	s.left--
	if s.left == 0 {
		return errStopped
	}
	return nil
}

// A process that dies after any step leaves what the next Forward completes.
func TestStoppedAtEveryStep(t *testing.T) {
	conn := newLog(t)
	for stop := 1; ; stop++ {
		dir, node := t.TempDir(), fmt.Sprint("n", stop)
		stopper := &stopAt{stop}
		n, _ := openNode(t, conn, Config{Node: node, Dir: dir, BatchRows: 6, Stop: stopper.step})
		list := events(1, 10)
		list[9].At -= 31 * 86400 * 1e9 // a second partition
		_, err := n.Accept(t.Context(), Batch{Server: node, Region: "eu", Events: list})
		if err == nil {
			err = n.Forward(t.Context())
		}
		if err != nil && !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
		died := err != nil
		// The dying process saves nothing more; only its lock goes.
		if err := n.spool.Close(); err != nil {
			t.Fatal(err)
		}
		n2, _ := openNode(t, conn, Config{Node: node, Dir: dir, BatchRows: 6})
		accept(t, n2, node, list...)
		forwardNow(t, n2)
		for _, table := range []string{"event_log", "identities", "arrivals"} {
			var identities, offsets uint64
			err := conn.QueryRow(t.Context(), "SELECT uniqExact(server, id), uniqExact(offset) FROM "+table+" WHERE node = '"+node+"'").Scan(&identities, &offsets)
			if err != nil || identities != 10 || offsets != 10 {
				t.Fatalf("stop %d: %s holds %d identities at %d offsets, %v", stop, table, identities, offsets, err)
			}
		}
		if offset, _, _ := published(t, conn, node); offset != 10 {
			t.Fatalf("stop %d: published offset %d", stop, offset)
		}
		if !died {
			if stop < 10 {
				t.Fatalf("only %d steps", stop)
			}
			return
		}
	}
}

func TestHoleIsSentAgain(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir, BatchRows: 3, SegmentBytes: 1})
	accept(t, n, "s", events(1, 5)...)
	accept(t, n, "s", events(6, 10)...)
	forwardNow(t, n)
	_ = n.Close()
	// A power cut took acknowledged rows from ClickHouse, but not the progress.
	if err := conn.Exec(t.Context(), "ALTER TABLE event_log DELETE WHERE offset IN (4, 5, 9) SETTINGS mutations_sync = 2"); err != nil {
		t.Fatal(err)
	}
	wantLogged(t, conn, 7, 7)
	n, _ = openNode(t, conn, Config{Dir: dir, BatchRows: 3})
	forwardNow(t, n)
	wantLogged(t, conn, 10, 10)
}

// A folder that is older than the log, or new: what it takes in goes on above what the log
// holds, and nobody's events are taken for another's.
func TestFolderIsOlderThanTheLog(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	accept(t, n, "s", events(1, 5)...)
	forwardNow(t, n)
	exec(t, conn, "INSERT INTO event_log SELECT * REPLACE (7 AS offset, 'unpublished' AS id) FROM event_log LIMIT 1")
	n, _ = openNode(t, conn, Config{}) // the same name, another folder
	accept(t, n, "s", events(6, 7)...)
	forwardNow(t, n)
	accept(t, n, "s", events(8, 8)...)
	forwardNow(t, n)
	var offsets []uint64
	scan(t, conn, "SELECT groupArray(offset) FROM (SELECT offset FROM arrivals ORDER BY offset)", &offsets)
	if got := fmt.Sprint(offsets); got != "[1 2 3 4 5 8 9 10]" {
		t.Error(got)
	}
	var lost string
	scan(t, conn, "SELECT toString((offset, lost)) FROM progress ORDER BY published DESC LIMIT 1", &lost)
	if lost != "(10,[(6,7)])" { // neither in all tables nor in this folder
		t.Error(lost)
	}
}

// Two spools under one name: each would take the other's rows for its own and never send
// what it acknowledged.
func TestForeignSpoolIsRefused(t *testing.T) {
	conn := newLog(t)
	a, _ := openNode(t, conn, Config{})
	accept(t, a, "s", events(1, 5)...)
	forwardNow(t, a)
	dir := t.TempDir()
	b, _ := openNode(t, conn, Config{Dir: dir}) // the same name, another folder
	accept(t, b, "s", events(6, 15)...)
	_ = b.Close()
	b, _ = openNode(t, conn, Config{Dir: dir})
	if err := b.Forward(t.Context()); !errors.Is(err, ErrSpoolForeign) {
		t.Fatal(err)
	}
	wantLogged(t, conn, 5, 5)
	c, _ := openNode(t, conn, Config{}) // and one that is new goes on above
	accept(t, c, "s", events(16, 17)...)
	forwardNow(t, c)
	accept(t, a, "s", events(18, 18)...)
	if err := a.Forward(t.Context()); !errors.Is(err, ErrSpoolForeign) {
		t.Fatal(err)
	}
	wantLogged(t, conn, 7, 7)
}

func TestForwardedSegmentsGoAfterTheirRetention(t *testing.T) {
	conn := newLog(t)
	n, clock := openNode(t, conn, Config{SegmentBytes: 1})
	for i := range 3 {
		accept(t, n, "s", events(10*i, 10*i+5)...)
	}
	clock.t = time.Now()
	forwardNow(t, n)
	if got := len(n.spool.Segments()); got != 3 {
		t.Fatalf("%d segments before the retention has passed", got)
	}
	clock.t = time.Now().Add(8 * 24 * time.Hour)
	forwardNow(t, n)
	if got := len(n.spool.Segments()); got != 1 {
		t.Fatalf("%d segments after it", got)
	}
	accept(t, n, "s", events(100, 102)...)
	forwardNow(t, n)
	wantLogged(t, conn, 21, 21)
	dir, name := n.cfg.Dir, n.cfg.Node
	_ = n.Close()
	n, _ = openNode(t, conn, Config{Dir: dir, Node: name})
	accept(t, n, "s", events(200, 200)...)
	forwardNow(t, n)
	wantLogged(t, conn, 22, 22)
}

// The promise is the least that live servers reported, clock error included, in all and by
// region; a silent one is named and no longer waited for; the node's own downtime is
// nobody's silence; with none live it follows the clock; and it never falls.
func TestWatermarkIsTheMinimumOverLiveServers(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, clock := openNode(t, conn, Config{Dir: dir, ClockErr: time.Second, NodeClockErr: time.Second})
	regions := map[string]string{"a": "eu", "b": "us"}
	beat := func(server string, seconds int) {
		t.Helper()
		at := rules.Instant(noon.Add(time.Duration(seconds) * time.Second).UnixNano())
		result, err := n.Accept(t.Context(), Batch{
			Server: server, Region: regions[server],
			Events: []rules.Event{{Type: rules.TypeHeartbeat, At: at}},
		})
		if err != nil || len(result.Rejected) > 0 {
			t.Fatal(err, result.Rejected)
		}
	}
	want := func(watermark, rest string) {
		t.Helper()
		forwardNow(t, n)
		if o, w, r := published(t, conn, "n1"); o != 1 || w != watermark || r != rest {
			t.Fatalf("published %d, %s, %q; want %s, %q", o, w, r, watermark, rest)
		}
	}
	if _, err := n.Accept(t.Context(), Batch{Server: "a", Region: "eu", Events: []rules.Event{event("1", -10)}}); err != nil {
		t.Fatal(err)
	}
	want("11:59:48", "eu 11:59:48;")
	beat("a", 20)
	want("11:59:58", "eu 11:59:58;") // 12:00:20 is beyond now and says no more than now does
	clock.t = noon.Add(time.Minute)
	want("11:59:58", "eu 11:59:58;")
	beat("a", 20)
	want("12:00:18", "eu 12:00:18;")
	beat("b", 30)
	want("12:00:18", "eu 12:00:18;us 12:00:28;")
	beat("b", 10) // an old heartbeat that came late
	want("12:00:18", "eu 12:00:18;us 12:00:28;")
	beat("a", 60)
	want("12:00:28", "eu 12:00:58;us 12:00:28;")
	clock.t = noon.Add(10 * time.Minute)
	beat("a", 600)
	want("12:00:28", "eu 12:09:58;us 12:00:28;")
	// A restart forgets nothing of b, and its downtime is not b's silence.
	_ = n.Close()
	n, clock = openNode(t, conn, Config{Dir: dir, ClockErr: time.Second, NodeClockErr: time.Second}, noon.Add(20*time.Minute))
	want("12:00:28", "eu 12:09:58;us 12:00:28;")
	beat("a", 1200)
	clock.t = noon.Add(35*time.Minute + time.Second)
	want("12:20:01", "eu 12:20:01;us 12:20:01; a silent; b silent;") // none is live
	beat("b", 2101)
	want("12:34:59", "eu 12:20:01;us 12:34:59; a silent;")
	clock.t = noon.Add(48 * time.Hour)
	want("11:45:00", "") // two days later both are taken for switched off: who comes had its silence
}

// What a server numbers after what it reported begins no earlier, whatever the clocks say
// now; what it puts before is left as it is, and marked if it was declared complete.
func TestOrderOfOneServer(t *testing.T) {
	var said report
	known := false
	take := func(at, seq, instant, err int) record {
		var r record
		r.Server, r.Region, r.At, r.Seq, r.Instant = "s", "eu", rules.Instant(at), uint64(seq), rules.Instant(instant)
		r.Exactly(int64(err))
		if known {
			said.order(&r)
		}
		said, known = said.join(reportOf(&r, noon), known), true
		return r
	}
	if r := take(100, 1, 100, 5); r.Earliest != 95 || r.Latest != 105 || r.Backdated {
		t.Errorf("%+v", r)
	}
	if r := take(110, 2, 90, 2); r.Earliest != 95 || r.Latest != 95 || r.Backdated { // another estimate of the clock
		t.Errorf("%+v", r)
	}
	if r := take(50, 1, 50, 1); r.Earliest != 49 || r.Latest != 51 || !r.Backdated {
		t.Errorf("%+v", r)
	}
	if r := take(110, 1, 110, 3); r.Earliest != 107 || r.Backdated { // before, but nothing was reported of that time
		t.Errorf("%+v", r)
	}
}

// The watermark must not be published before the events that it speaks of, and each
// word has a higher number than all before it, also after a restart.
func TestWatermarkWaitsForTheEvents(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	var seen []string
	cfg := Config{Dir: dir, BatchRows: 2, ClockErr: time.Second, NodeClockErr: time.Second, Stop: func(step string) error {
		if step == "forward.published" {
			o, w, _ := published(t, conn, "n1")
			seen = append(seen, fmt.Sprintf("%d %s", o, w))
		}
		return nil
	}}
	n, _ := openNode(t, conn, cfg)
	if _, err := n.Accept(t.Context(), Batch{Server: "s", Region: "eu", Events: events(1, 5)}); err != nil {
		t.Fatal(err)
	}
	forwardNow(t, n)
	if got := strings.Join(seen, ", "); got != "2 00:00:00, 4 00:00:00, 5 11:59:58" {
		t.Error(got)
	}
	_ = n.Close()
	n, _ = openNode(t, conn, cfg)
	forwardNow(t, n)
	var rows, numbers, last uint64
	if err := conn.QueryRow(t.Context(), "SELECT count(), uniqExact(published), max(published) FROM progress").Scan(&rows, &numbers, &last); err != nil {
		t.Fatal(err)
	}
	if rows != 4 || numbers != 4 || last != 4 {
		t.Errorf("%d rows with %d numbers up to %d", rows, numbers, last)
	}
}

// A retired node is one until it sends an event again; beats leave it so. An unknown
// one cannot be retired.
func TestRetire(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	accept(t, n, "s", events(1, 2)...)
	forwardNow(t, n)
	if err := Retire(t.Context(), conn, "nobody", "gone", noon); !errors.Is(err, ErrUnknownNode) {
		t.Error(err)
	}
	if err := Retire(t.Context(), conn, "n1", "region closed", noon); err != nil {
		t.Fatal(err)
	}
	want := func(retired bool) {
		t.Helper()
		nodes, err := Nodes(t.Context(), conn)
		if err != nil || len(nodes) != 1 || nodes[0].Retired != retired || (nodes[0].Reason == "region closed") != retired {
			t.Fatalf("%+v, %v, want %t", nodes, err, retired)
		}
	}
	want(true)
	forwardNow(t, n)
	want(true)
	accept(t, n, "s", events(3, 3)...)
	forwardNow(t, n)
	want(false)
}

// Holes are named with their ends.
func TestHolesAreNamed(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	accept(t, n, "s", events(1, 20)...)
	forwardNow(t, n)
	if err := conn.Exec(t.Context(), "ALTER TABLE arrivals DELETE WHERE offset IN (10, 11, 20) SETTINGS mutations_sync = 2"); err != nil {
		t.Fatal(err)
	}
	nodes, err := Nodes(t.Context(), conn)
	if err != nil || fmt.Sprint(nodes[0].Holes) != "[{10 11} {20 20}]" {
		t.Errorf("%+v, %v", nodes, err)
	}
}

// However batches are shuffled, repeated and spread over two nodes, the log holds
// the same events.
func TestAnyOrderAnyNodeSameEvents(t *testing.T) {
	conn := newLog(t)
	a, _ := openNode(t, conn, Config{Node: "a", BatchRows: 50})
	b, _ := openNode(t, conn, Config{Node: "b", BatchRows: 70})
	r := newRand(7)
	list := events(1, 300)
	for range 12 {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		n := []*Node{a, b}[r.IntN(2)]
		accept(t, n, "s", list[:150]...)
		if r.IntN(3) == 0 {
			forwardNow(t, n)
		}
	}
	accept(t, a, "s", list...)
	forwardNow(t, a)
	forwardNow(t, b)
	identities, offsets := logged(t, conn)
	if identities != 300 || offsets != a.spool.Last()+b.spool.Last() || a.spool.Last() > 300 || b.spool.Last() > 300 {
		t.Errorf("%d identities at %d offsets of %d + %d", identities, offsets, a.spool.Last(), b.spool.Last())
	}
	var contents uint64
	if err := conn.QueryRow(t.Context(), "SELECT uniqExact(content) FROM event_log").Scan(&contents); err != nil || contents != 300 {
		t.Errorf("%d contents, %v", contents, err)
	}
}

func TestNodeRefusesBadUse(t *testing.T) {
	for _, c := range []Config{{Dir: "x"}, {Node: "n"}, {Node: "../n", Dir: "x"}, {Node: "n", Dir: "x", BatchRows: -1}, {Node: "n", Dir: "x", Retention: -1}} {
		if _, err := New(nil, slog.New(slog.DiscardHandler), c, time.Now); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	dir := t.TempDir()
	n, err := New(nil, slog.New(slog.DiscardHandler), Config{Node: "n", Dir: dir}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("New made %v", left)
	}
	if _, err := n.Accept(context.Background(), Batch{Server: "s", Region: "r"}); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("a closed node: %v", err)
	}
	if err := n.Forward(context.Background()); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("a closed node: %v", err)
	}
	if err := n.Open(); err != nil {
		t.Fatal(err)
	}
	m, err := New(nil, slog.New(slog.DiscardHandler), Config{Node: "n", Dir: dir}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Open(); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("a second node on the folder: %v", err)
	}
	if err := errors.Join(n.Close(), n.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "n", "watermarks.json")); err != nil {
		t.Error(err)
	}
}
