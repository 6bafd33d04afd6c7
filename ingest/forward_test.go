package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

func exec(t testing.TB, conn driver.Conn, statement string) {
	t.Helper()
	if err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func scan(t testing.TB, conn driver.Conn, query string, to ...any) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(to...); err != nil {
		t.Fatal(err)
	}
}

// drop takes offsets out of a table, as a power cut does.
func drop(t testing.TB, conn driver.Conn, table, where string) {
	t.Helper()
	exec(t, conn, "ALTER TABLE "+table+" DELETE WHERE "+where+" SETTINGS mutations_sync = 2")
}

// rows returns how many rows and offsets each table has.
func rowsAndOffsets(t testing.TB, conn driver.Conn) string {
	t.Helper()
	var all []string
	for _, table := range []string{"event_log", "identities", "arrivals"} {
		var rows, offsets uint64
		scan(t, conn, "SELECT count(), uniqExact(offset) FROM "+table, &rows, &offsets)
		all = append(all, fmt.Sprint(rows, "/", offsets))
	}
	return strings.Join(all, " ")
}

// What one table lacks is sent again, and nothing else; what an insert was acknowledged
// for counts for nothing.
func TestOnlyWhatIsMissingIsSent(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	lose := ""
	breaks := false
	cfg := Config{Dir: dir, Stop: func(step string) error {
		if step == "forward.inserted" && breaks {
			breaks = false
			return errors.New("the connection broke")
		}
		if step == "forward.inserted" && lose != "" {
			drop(t, conn, lose, "offset = 12")
			lose = ""
		}
		return nil
	}}
	n, _ := openNode(t, conn, cfg)
	accept(t, n, "s", events(1, 10)...)
	forwardNow(t, n)
	for i, table := range []string{"event_log", "identities", "arrivals"} {
		drop(t, conn, table, fmt.Sprintf("offset IN (%d, %d)", 2+i, 7))
	}
	_ = n.Close()
	n, _ = openNode(t, conn, cfg)
	forwardNow(t, n)
	if got := rowsAndOffsets(t, conn); got != "12/10 12/10 12/10" { // 2, 3, 4 and 7 were sent to all three
		t.Error(got)
	}
	lose = "identities"
	accept(t, n, "s", events(11, 13)...)
	forwardNow(t, n)
	if got := rowsAndOffsets(t, conn); got != "16/13 15/13 16/13" {
		t.Error(got)
	}
	if offset, _, _ := published(t, conn, "n1"); offset != 13 {
		t.Errorf("published %d", offset)
	}
	breaks = true
	accept(t, n, "s", events(14, 15)...)
	if err := n.Forward(t.Context()); err == nil {
		t.Error("it did not fail")
	}
	forwardNow(t, n)
	if got := rowsAndOffsets(t, conn); got != "18/15 17/15 18/15" {
		t.Error(got)
	}
}

// A row names the life of the engine under which its offsets were counted. In another life
// everything is counted again before anything new is published, however soon it began.
func TestAnotherLifeIsCountedAgain(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	lives := func() (row string, present []string) {
		scan(t, conn, "SELECT life FROM progress ORDER BY published DESC LIMIT 1", &row)
		scan(t, conn, "SELECT groupArray(token) FROM life", &present)
		return row, present
	}
	accept(t, n, "s", events(1, 10)...)
	forwardNow(t, n)
	first, present := lives()
	if len(present) != 1 || present[0] != first || first == "" {
		t.Fatalf("the row names %q, present is %q", first, present)
	}
	// Another node puts its own token there, before it has read ours.
	exec(t, conn, "INSERT INTO life VALUES ('')")
	forwardNow(t, n)
	if row, _ := lives(); row != first {
		t.Errorf("the row names %q instead of %q, which is still there", row, first)
	}
	exec(t, conn, "TRUNCATE TABLE life")
	drop(t, conn, "event_log", "offset IN (3, 9)")
	accept(t, n, "s", events(11, 11)...)
	forwardNow(t, n)
	wantLogged(t, conn, 11, 11)
	row, present := lives()
	if len(present) != 1 || present[0] != row || row == first {
		t.Errorf("the row names %q, present is %q, before was %q", row, present, first)
	}
}

// The word of a node that does not run is counted again for it, with the time and the
// promise that it had; a spool that a process holds is left to that.
func TestRecount(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir})
	held, _ := openNode(t, conn, Config{Node: "n2", Dir: dir})
	accept(t, n, "s", events(1, 10)...)
	accept(t, held, "s2", events(1, 3)...)
	forwardNow(t, n)
	forwardNow(t, held)
	_ = n.Close()
	word := func(node string) (said string) {
		t.Helper()
		scan(t, conn, `SELECT toString((at_ns, offset, watermark_ns, regions, silent, life IN (SELECT token FROM life)))
			FROM progress WHERE node = '`+node+`' ORDER BY published DESC LIMIT 1`, &said)
		return said
	}
	before := word("n1")
	exec(t, conn, "TRUNCATE TABLE life")
	drop(t, conn, "arrivals", "offset = 7")
	for range 2 {
		if err := Recount(t.Context(), conn, discard(), dir, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	if after := word("n1"); after != before || !strings.HasSuffix(after, ",1)") {
		t.Errorf("%s became %s", before, after)
	}
	if after := word("n2"); !strings.HasSuffix(after, ",0)") {
		t.Errorf("the spool that is held: %s", after)
	}
	var rows uint64
	if scan(t, conn, "SELECT count() FROM progress", &rows); rows != 3 {
		t.Errorf("%d rows of progress", rows)
	}
	if got := rowsAndOffsets(t, conn); !strings.HasSuffix(got, "13/10") {
		t.Error(got)
	}
	if err := Recount(t.Context(), conn, discard(), dir+"/none", time.Now); err != nil {
		t.Error(err)
	}
}

// What a node that was killed left in its spool is forwarded for it, also where it has
// never said anything, and only once; a spool that a process holds is left to that.
func TestForwardIdle(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir})
	held, _ := openNode(t, conn, Config{Node: "n2", Dir: dir})
	accept(t, n, "s", events(1, 10)...)
	accept(t, held, "s2", events(1, 3)...)
	_ = n.Close()
	for range 2 {
		if err := ForwardIdle(t.Context(), conn, discard(), dir, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	if got := rowsAndOffsets(t, conn); got != "10/10 10/10 10/10" {
		t.Errorf("the log holds %s", got)
	}
	var rows uint64
	if scan(t, conn, "SELECT count() FROM progress", &rows); rows != 1 {
		t.Errorf("%d rows of progress", rows)
	}
}

// A spool that only a person can put right keeps no settlement from what others have.
func TestForwardIdlePassesOver(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, clock := openNode(t, conn, Config{Node: "z", Dir: dir})
	accept(t, n, "s", events(1, 4)...)
	_ = n.Close()
	older := filepath.Join(dir, "a", "00000000000000000001.seg")
	if err := os.MkdirAll(filepath.Dir(older), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(older, append([]byte("PFSPOOL\x01"), make([]byte, 9000)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ForwardIdle(t.Context(), conn, discard(), dir, clock.now); err != nil {
		t.Error(err)
	}
	wantLogged(t, conn, 4, 4)
}

// Every row says again what is lost and void, and which watermark goes with its offset.
func TestEachRowSaysAllAgain(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir, BatchRows: 2})
	accept(t, n, "s", events(1, 4)...)
	forwardNow(t, n)
	_ = n.Close()
	exec(t, conn, "INSERT INTO progress SELECT * REPLACE (published + 1 AS published, [(2, 2)] AS lost, [(3, 3)] AS void) FROM progress ORDER BY published DESC LIMIT 1")
	n, _ = openNode(t, conn, Config{Dir: dir, BatchRows: 2})
	accept(t, n, "s", events(5, 8)...)
	forwardNow(t, n)
	var said []string
	scan(t, conn, `SELECT groupArray(toString((offset, lost, void))) FROM (SELECT * FROM progress WHERE published > 3 ORDER BY published)`, &said)
	if got := strings.Join(said, " "); got != "(6,[(2,2)],[(3,3)]) (8,[(2,2)],[(3,3)])" {
		t.Error(got)
	}
}

// A row of another node counts as known if that node has published its place and has named
// it neither lost nor void: no settlement reads either.
func TestKnownIsWhatIsPublished(t *testing.T) {
	conn := newLog(t)
	a, _ := openNode(t, conn, Config{Node: "a"})
	accept(t, a, "s", events(1, 5)...)
	forwardNow(t, a)
	exec(t, conn, "INSERT INTO progress SELECT * REPLACE (published + 1 AS published, 4 AS offset, [(2, 2)] AS lost, [(3, 3)] AS void) FROM progress ORDER BY published DESC LIMIT 1")
	b, clock := openNode(t, conn, Config{Node: "b"})
	clock.t = noon.Add(time.Hour)
	if r := accept(t, b, "s", events(1, 5)...); r.Accepted != 3 || r.Duplicates != 2 || r.Conflicts != 0 {
		t.Errorf("%+v", r)
	}
}

// A request whose duplicate's place is named lost before it is answered is not answered
// with "known".
func TestKnownOneIsLostMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		send(t, n, "s", event("a", 0))
		d.sync(nil)
		both := send(t, n, "s", event("a", 0), event("b", 0))
		n.lose([]rules.Span{{First: 1, Last: 1}})
		d.sync(nil)
		wantAnswers(t, "lost meanwhile", "unknown", both)
		again := send(t, n, "s", event("a", 0), event("b", 0))
		d.sync(nil)
		wantAnswers(t, "again", "1 new 1 known 0 refused", again)
	})
}

// What was accepted after the last Forward holds the watermark after kill -9, also of a
// server that was new then; and what the servers had reported is not needed to start.
func TestReportsOutliveTheProcess(t *testing.T) {
	want := map[string]string{ // without the file, other servers of us may be where the last word was
		"whole":   "ap 11:54:59.95;eu 11:49:59.95;us 12:00:59.95;",
		"damaged": "ap 11:54:59.95;eu 11:49:59.95;us 11:59:59.95;",
		"missing": "ap 11:54:59.95;eu 11:49:59.95;us 11:59:59.95;",
	}
	for _, file := range []string{"whole", "damaged", "missing"} {
		t.Run(file, func(t *testing.T) {
			conn := newLog(t)
			dir := t.TempDir()
			n, _ := openNode(t, conn, Config{Dir: dir})
			batch := func(n *Node, region, server string, e rules.Event) {
				t.Helper()
				if _, err := n.Accept(t.Context(), Batch{Server: server, Region: region, Events: []rules.Event{e}, Clock: &Clock{}}); err != nil {
					t.Fatal(err)
				}
			}
			batch(n, "us", "fast", event("b", 0))
			batch(n, "ap", "quiet", heartbeat(-300)) // stands nowhere but in what is saved
			forwardNow(t, n)
			batch(n, "eu", "slow", event("c", -600)) // acknowledged, then kill -9
			if err := n.spool.Close(); err != nil {
				t.Fatal(err)
			}
			path := watermarksPath(n.cfg.folder())
			switch file {
			case "missing":
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			case "damaged":
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				b[len(b)/2] ^= 1
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			n, _ = openNode(t, conn, Config{Dir: dir}, noon.Add(time.Minute))
			_ = n.Close() // before it has reached the log
			n, _ = openNode(t, conn, Config{Dir: dir}, noon.Add(time.Minute))
			forwardNow(t, n)
			_ = n.Close() // and after
			n, clock := openNode(t, conn, Config{Dir: dir}, noon.Add(time.Minute))
			batch(n, "us", "fast", event("d", 60))
			forwardNow(t, n)
			if _, _, got := published(t, conn, "n1"); got != want[file] {
				t.Error(got)
			}
			clock.t = noon.Add(2 * time.Minute)
			forwardNow(t, n)
			if _, w, _ := published(t, conn, "n1"); w != "11:49:59.95" {
				t.Error(w)
			}
			clock.t = noon.Add(20 * time.Minute) // all had the time to speak
			batch(n, "us", "fast", event("e", 1200))
			forwardNow(t, n)
			if _, w, _ := published(t, conn, "n1"); w != "12:19:59.95" {
				t.Error(w)
			}
		})
	}
}

// Nothing on the way to the log needs to write to the spool's disk.
func TestFullDiskForwards(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	accept(t, n, "s", events(1, 3)...)
	if err := os.MkdirAll(watermarksPath(n.cfg.folder())+"/x", 0o700); err != nil { // no file can take this place
		t.Fatal(err)
	}
	forwardNow(t, n)
	wantLogged(t, conn, 3, 3)
}

// Run forwards at once what is new, at most once a second, and every minute; it tries
// again while that fails, with longer and longer pauses, and ends with its context.
func TestRunKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(nil, discard(), Config{Node: "n", Dir: "x"}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		began := time.Now()
		var mu sync.Mutex // guards the next two
		var at []string
		var fail error
		set := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			at, fail = nil, err
		}
		ended := make(chan error, 1)
		go func() {
			ended <- n.run(ctx, func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(began).String())
				return fail
			})
		}()
		want := func(times string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(at, " "); got != times {
				t.Fatalf("forwarded at %s, want %s", got, times)
			}
			at = nil
		}
		want("0s")
		n.wakeUp()
		n.wakeUp()
		time.Sleep(10 * time.Second)
		want("1s")
		n.wakeUp()
		want("10s")
		time.Sleep(2 * time.Minute)
		want("1m10s 2m10s")
		set(errors.New("the log is away"))
		n.wakeUp()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		mu.Lock()
		tries := len(at)
		mu.Unlock()
		if tries < 20 || tries > 100 { // pauses of 15 s on average
			t.Errorf("%d tries in ten minutes", tries)
		}
		set(nil)
		time.Sleep(maxPause)
		gone := errors.New("the program ends")
		cancel(gone)
		if err := <-ended; !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}

// Status says what was published last, and why it no longer is.
func TestStatus(t *testing.T) {
	conn := newLog(t)
	n, clock := openNode(t, conn, Config{})
	accept(t, n, "s", events(1, 3)...)
	if s := n.Status(); s.Node != "n1" || s.Last != 3 || s.Forwarded != 0 || !s.At.IsZero() {
		t.Errorf("%+v", s)
	}
	forwardNow(t, n)
	clock.t = noon.Add(time.Minute)
	accept(t, n, "s", events(4, 5)...)
	exec(t, conn, "RENAME TABLE arrivals TO away")
	if err := n.Forward(t.Context()); err == nil {
		t.Fatal("forwarded to a table that is away")
	}
	s := n.Status()
	if s.Last != 5 || s.Forwarded != 3 || s.Err == nil || !s.At.Equal(noon) || s.Bytes == 0 || clockText(s.Watermark) != "11:59:58.95" {
		t.Errorf("%+v, watermark %s", s, clockText(s.Watermark))
	}
}
