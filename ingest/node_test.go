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

// openNode opens a node that is closed with the test.
func openNode(t testing.TB, conn driver.Conn, cfg Config) (*Node, *clockAt) {
	t.Helper()
	clock := &clockAt{noon}
	if cfg.Node == "" {
		cfg.Node = "n1"
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	n, err := New(conn, slog.New(slog.DiscardHandler), cfg, clock.now)
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

// published returns the progress of a node as a reader takes it.
func published(t testing.TB, conn driver.Conn, node string) (offset uint64, watermark string, lagging []string) {
	t.Helper()
	var ns int64
	err := conn.QueryRow(t.Context(), "SELECT max(offset), max(watermark_ns), argMax(lagging, (published_ns, offset)) FROM progress WHERE node = $1", node).Scan(&offset, &ns, &lagging)
	if err != nil {
		t.Fatal(err)
	}
	return offset, rules.Instant(ns).Time().Format("15:04:05"), lagging
}

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
	row := conn.QueryRow(t.Context(), `SELECT node, offset, server, region, id, type, at_ns, seq, instant_ns, err_ns, player, guild, target, sku, count,
		price_minor, currency, attrs, content, received_ns FROM event_log`)
	var at, instant int64
	if err := row.Scan(&got.Node, &got.Offset, &got.Server, &got.Region, &got.ID, &got.Type, &at, &got.Seq, &instant, &got.ErrNs, &got.Player,
		&got.Guild, &got.Target, &got.SKU, &got.Count, &got.Price.Amount, &got.Price.Currency, &got.Attrs, &content, &got.receivedNs); err != nil {
		t.Fatal(err)
	}
	got.At, got.Instant, got.Content = rules.Instant(at), rules.Instant(instant), rules.Content([]byte(content))
	e.Server, e.Region = "eu-1", "eu"
	want := record{receivedNs: noon.UnixNano()}
	want.Record = rules.Record{Event: e, Node: "n1", Offset: 1, Instant: e.At + 2_000, ErrNs: 500, Content: e.Digest()}
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
	if n.Last() != 1 {
		t.Errorf("last offset %d", n.Last())
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
	conn := clickhousetest.New(t)
	for stop := 1; ; stop++ {
		if err := conn.Exec(t.Context(), "DROP TABLE IF EXISTS event_log SYNC"); err != nil {
			t.Fatal(err)
		}
		if err := conn.Exec(t.Context(), "DROP TABLE IF EXISTS progress SYNC"); err != nil {
			t.Fatal(err)
		}
		if err := Migrate(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		stopper := &stopAt{stop}
		n, _ := openNode(t, conn, Config{Dir: dir, BatchRows: 4, Stop: stopper.step})
		list := events(1, 10)
		list[9].At -= 86400 * 1e9 // a second partition
		_, err := n.Accept(t.Context(), Batch{Server: "s", Region: "eu", Events: list})
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
		n2, _ := openNode(t, conn, Config{Dir: dir, BatchRows: 4})
		accept(t, n2, "s", list...)
		forwardNow(t, n2)
		wantLogged(t, conn, 10, 10)
		if offset, _, _ := published(t, conn, "n1"); offset != 10 {
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

func TestLostSpoolIsRefused(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	accept(t, n, "s", events(1, 5)...)
	forwardNow(t, n)
	n, _ = openNode(t, conn, Config{}) // the same name, another folder
	accept(t, n, "s", events(6, 7)...)
	if err := n.Forward(t.Context()); !errors.Is(err, ErrSpoolBehind) {
		t.Fatal(err)
	}
}

// Two spools under one name: the longer one would take the other's rows for its own
// and never send what it acknowledged.
func TestForeignSpoolIsRefused(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	accept(t, n, "s", events(1, 5)...)
	forwardNow(t, n)
	n, _ = openNode(t, conn, Config{}) // the same name, another folder
	accept(t, n, "s", events(6, 15)...)
	if err := n.Forward(t.Context()); !errors.Is(err, ErrSpoolForeign) {
		t.Fatal(err)
	}
	wantLogged(t, conn, 5, 5)
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

func TestWatermarkIsTheMinimumOverLiveServers(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, clock := openNode(t, conn, Config{Dir: dir})
	beat := func(server string, seconds int) {
		t.Helper()
		if err := n.Heartbeat(t.Context(), server, "eu", rules.Instant(noon.Add(time.Duration(seconds)*time.Second).UnixNano()), nil); err != nil {
			t.Fatal(err)
		}
	}
	want := func(offset uint64, watermark string, lagging ...string) {
		t.Helper()
		forwardNow(t, n)
		o, w, l := published(t, conn, "n1")
		if o != offset || w != watermark || fmt.Sprint(l) != fmt.Sprint(lagging) {
			t.Fatalf("published %d, %s, %v; want %d, %s, %v", o, w, l, offset, watermark, lagging)
		}
	}
	accept(t, n, "a", event("1", -10))
	want(1, "11:59:50")
	beat("a", 20)
	want(1, "12:00:20")
	beat("b", 30)
	want(1, "12:00:20")
	beat("b", 10) // an old heartbeat that came late
	want(1, "12:00:20")
	beat("a", 60)
	want(1, "12:00:30")
	clock.t = noon.Add(10 * time.Minute)
	beat("a", 600)
	want(1, "12:00:30")
	// A restart forgets nothing of b.
	_ = n.Close()
	n, clock = openNode(t, conn, Config{Dir: dir})
	clock.t = noon.Add(15 * time.Minute)
	want(1, "12:00:30")
	clock.t = noon.Add(15*time.Minute + time.Second)
	want(1, "12:10:00", "b")
	beat("b", 901)
	want(1, "12:10:00")
	clock.t = noon.Add(time.Hour)
	want(1, "12:15:01", "a", "b")
	clock.t = noon.Add(48 * time.Hour)
	want(1, "12:15:01")
}

// The watermark must not be published before the events that it speaks of.
func TestWatermarkWaitsForTheEvents(t *testing.T) {
	conn := newLog(t)
	var n *Node
	var seen []string
	n, _ = openNode(t, conn, Config{BatchRows: 2, Stop: func(step string) error {
		if step == "forward.published" {
			o, w, _ := published(t, conn, "n1")
			seen = append(seen, fmt.Sprintf("%d %s", o, w))
		}
		return nil
	}})
	accept(t, n, "s", events(1, 5)...)
	forwardNow(t, n)
	if got := strings.Join(seen, ", "); got != "2 00:00:00, 4 00:00:00, 5 12:00:00" {
		t.Error(got)
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
	if identities != 300 || offsets != a.Last()+b.Last() || a.Last() > 300 || b.Last() > 300 {
		t.Errorf("%d identities at %d offsets of %d + %d", identities, offsets, a.Last(), b.Last())
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
