package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
)

// flip changes a bit in the spooled payload that holds a text, in whichever segments have
// it.
func flip(t *testing.T, dir, text string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "*", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, path := range segments {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			b[at] ^= 1
			found = true
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !found {
		t.Fatalf("no segment holds %q", text)
	}
}

// lastRow is the node's word as one text.
func lastRow(t *testing.T, n *Node) string {
	t.Helper()
	var row string
	scan(t, n.conn, "SELECT toString((offset, lost, void)) FROM progress WHERE node = '"+n.cfg.Node+"' ORDER BY published DESC LIMIT 1", &row)
	return row
}

// An event that the disk has changed is sought in the log. If it is there, nothing is the
// matter; if not, its place is named lost together with the offset, the rest is forwarded,
// and the event is new when it comes again.
func TestDamagedEvent(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir})
	list := events(1, 9)
	for i := range list {
		list[i].Player = fmt.Sprintf("player-%d-of-nine", i+1)
	}
	accept(t, n, "s", list[:3]...)
	forwardNow(t, n)
	accept(t, n, "s", list[3:]...)
	_ = n.Close()
	flip(t, dir, list[1].Player) // 2 is in the log
	flip(t, dir, list[4].Player) // 5 is not
	stopped := errors.New("stopped")
	n, _ = openNode(t, conn, Config{Dir: dir, Stop: func(step string) error {
		if step == "forward.named" {
			return stopped
		}
		return nil
	}})
	if r := accept(t, n, "s", list[3]); r.Duplicates != 1 {
		t.Errorf("%+v", r)
	}
	if err := n.Forward(t.Context()); !errors.Is(err, stopped) {
		t.Fatal(err)
	}
	if row := lastRow(t, n); row != "(3,[],[])" { // a row never has an offset beyond what it names
		t.Error(row)
	}
	_ = n.Close()
	n, clock := openNode(t, conn, Config{Dir: dir})
	forwardNow(t, n)
	if row := lastRow(t, n); row != "(9,[(5,5)],[])" {
		t.Error(row)
	}
	if s := n.Status(); s.Forwarded != 9 || fmt.Sprint(s.Lost) != "[{5 5}]" {
		t.Errorf("%+v", s)
	}
	clock.t = noon.Add(time.Hour) // old enough to be looked up
	if r := accept(t, n, "s", list...); r.Accepted != 1 || r.Duplicates != 8 {
		t.Errorf("sent again: %+v", r)
	}
	forwardNow(t, n)
	if row := lastRow(t, n); row != "(10,[(5,5)],[])" {
		t.Error(row)
	}
	wantLogged(t, conn, 9, 9)
	nodes, err := Nodes(t.Context(), conn)
	if err != nil || len(nodes[0].Holes) != 0 || fmt.Sprint(nodes[0].Lost) != "[{5 5}]" {
		t.Errorf("%+v, %v", nodes, err)
	}
}

// A file that is gone costs what it alone held; what the log has of it is not lost.
func TestSegmentIsGone(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir, SegmentBytes: 1})
	for i := range 4 {
		accept(t, n, "s", events(3*i+1, 3*i+3)...)
		if i == 1 {
			forwardNow(t, n)
		}
	}
	var gone []string
	for _, g := range n.spool.Segments() {
		if g.First == 4 || g.First == 7 {
			gone = append(gone, g.Path)
		}
	}
	_ = n.Close()
	for _, path := range gone {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	n, _ = openNode(t, conn, Config{Dir: dir, SegmentBytes: 1})
	forwardNow(t, n)
	if row := lastRow(t, n); len(gone) != 2 || row != "(12,[(7,9)],[])" {
		t.Error(gone, row)
	}
	wantLogged(t, conn, 9, 9)
}

// A torn tail costs nothing that was acknowledged: its places are void, and say so.
func TestTornTailIsVoid(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir})
	accept(t, n, "s", events(1, 4)...)
	used := n.spool.Segments()
	_ = n.Close()
	// The power goes while the next round is written: some of its bytes are there.
	f, err := os.OpenFile(used[0].Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("a part of a frame"), used[0].Bytes/2); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	n, _ = openNode(t, conn, Config{Dir: dir})
	accept(t, n, "s", events(5, 5)...)
	forwardNow(t, n)
	var offset uint64
	var lost, void [][]any
	if err := conn.QueryRow(t.Context(), "SELECT offset, lost, void FROM progress ORDER BY published DESC LIMIT 1").Scan(&offset, &lost, &void); err != nil {
		t.Fatal(err)
	}
	if len(lost) != 0 || len(void) != 1 || fmt.Sprint(void[0]) != fmt.Sprint([]any{uint64(5), offset - 1}) {
		t.Errorf("offset %d, lost %v, void %v", offset, lost, void)
	}
	wantLogged(t, conn, 5, 5)
}

// A segment stays for its retention from when it was counted in this life of the engine, and
// is never removed on a count of a life that is over.
func TestRemovedOnlyOnACountOfThisLife(t *testing.T) {
	conn := newLog(t)
	restart := false
	n, clock := openNode(t, conn, Config{SegmentBytes: 1, Retention: time.Hour, Stop: func(step string) error {
		if step == "forward.published" && restart {
			exec(t, conn, "TRUNCATE TABLE life")
			restart = false
		}
		return nil
	}})
	for i := range 3 {
		accept(t, n, "s", events(10*i, 10*i+5)...)
	}
	want := func(when string, segments int) {
		t.Helper()
		forwardNow(t, n)
		if got := len(n.spool.Segments()); got != segments {
			t.Errorf("%s: %d segments, want %d", when, got, segments)
		}
	}
	clock.t = noon.Add(2 * time.Hour) // they are old, but counted just now
	want("just counted", 3)
	clock.t = noon.Add(4 * time.Hour)
	restart = true
	want("the engine restarts right before", 3)
	want("counted again", 3)
	clock.t = noon.Add(5 * time.Hour)
	want("an hour later", 1)
}

// With its quota used up a node takes nothing new, answers what it knows, forwards, and
// takes events again when segments have gone.
func TestQuota(t *testing.T) {
	conn := newLog(t)
	n, clock := openNode(t, conn, Config{SegmentBytes: 256 << 10, Quota: 1 << 20, Retention: time.Hour})
	big := func(i int) []rules.Event {
		list := events(1000*i+1, 1000*i+50)
		for k := range list {
			list[k].Attrs = map[string]string{"note": strings.Repeat("x", MaxAttrValueBytes)}
		}
		return list
	}
	taken := 0
	var err error
	for ; taken < 50 && err == nil; taken++ {
		_, err = n.Accept(t.Context(), Batch{Server: "s", Region: "eu", Events: big(taken)})
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("%d batches: %v", taken, err)
	}
	if r := accept(t, n, "s", big(0)...); r.Duplicates != 50 {
		t.Errorf("%+v", r)
	}
	forwardNow(t, n)
	clock.t = noon.Add(time.Hour)
	forwardNow(t, n)
	accept(t, n, "s", big(taken-1)...)
	forwardNow(t, n)
	wantLogged(t, conn, uint64(50*taken), uint64(50*taken))
}

// What the log lost after it was removed here is named: nothing can bring it back.
func TestLogLostWhatIsRemoved(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	n, clock := openNode(t, conn, Config{Dir: dir, SegmentBytes: 1, Retention: time.Hour})
	for i := range 3 {
		accept(t, n, "s", events(10*i, 10*i+5)...)
	}
	forwardNow(t, n)
	clock.t = noon.Add(2 * time.Hour)
	forwardNow(t, n)
	_ = n.Close()
	// The log is restored from a copy that is older.
	for _, table := range []string{"event_log", "identities", "arrivals"} {
		drop(t, conn, table, "offset > 3")
	}
	drop(t, conn, "progress", "published > 0")
	n, _ = openNode(t, conn, Config{Dir: dir, SegmentBytes: 1, Retention: time.Hour})
	forwardNow(t, n)
	if row := lastRow(t, n); row != "(18,[(4,12)],[])" {
		t.Error(row)
	}
	var offsets []uint64
	scan(t, conn, "SELECT groupUniqArray(offset) FROM arrivals", &offsets)
	slices.Sort(offsets)
	if fmt.Sprint(offsets) != "[1 2 3 13 14 15 16 17 18]" {
		t.Error(offsets)
	}
}
