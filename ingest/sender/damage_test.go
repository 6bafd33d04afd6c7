package sender

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/ingest"
	"photofinish/ingest/spool"
	"photofinish/rules"
)

// newest returns the newest segment of a closed sender and what is in it.
func newest(t testing.TB, c Config) (path string, b []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(c.Dir, "spool", "*.seg"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	path = paths[len(paths)-1]
	if b, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, b
}

// big is an event of which sixteen fill a segment.
func big(i int) *rules.Event {
	e := kill(fmt.Sprint(i))
	e.Target = strings.Repeat("x", 60_000)
	return e
}

// After a torn write seq goes on above every number that may have been used, and the gap is
// told as void.
func TestTornWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		s, _ := open(t, c)
		accept(t, s, "a", "b")
		run(t, s, 0)
		_ = s.Close()
		path, b := newest(t, c)
		copy(b[(len(bytes.TrimRight(b, "\x00"))+7)&^7:], "half a frame")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		w.forget()
		s, _ = open(t, c)
		accept(t, s, "c")
		run(t, s, linger)
		r := w.requests("one")
		lines := r[len(r)-1].lines
		if n := len(lines); n != 2 || lines[0].ID != "c" || lines[0].Seq <= 3 ||
			lines[1].Attrs[attrVoid] != fmt.Sprintf("3-%d", lines[0].Seq-1) {
			t.Errorf("it sent %+v", lines)
		}
		if st := s.Status(); st.Gone != 0 || st.Unsent != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// An event that the disk has spoilt is missing by its number, said aloud, and holds nothing
// up: what follows is sent, and files are removed.
func TestSpoiltEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		s, _ := open(t, c)
		accept(t, s, "a", "spoilt", "b")
		_ = s.Close()
		path, b := newest(t, c)
		if err := os.WriteFile(path, bytes.Replace(b, []byte("spoilt"), []byte("spoiLt"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		s, l := open(t, c)
		run(t, s, 0)
		expect(t, w.sent("one"), "a b ♥")
		if st := s.Status(); st.Gone != 1 || st.Unsent != 0 || !strings.Contains(l.String(), "segment is damaged") {
			t.Errorf("%+v, %s", st, l)
		}
		for i := range 40 { // into the next segment
			if err := s.Accept(t.Context(), big(i)); err != nil {
				t.Fatal(err)
			}
		}
		run(t, s, time.Minute)
		if removed, err := s.disk.Prune(s.marked(), time.Now(), 0); err != nil || removed == 0 || s.Status().Gone != 1 {
			t.Errorf("%d files are removed: %+v, %v", removed, s.Status(), err)
		}
	})
}

// At the quota events are refused and what is kept stays; once a node has taken it there
// is room again, and nothing that was accepted is missing.
func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		w.set("one", always(reply{status: 503}))
		c := w.config(t.TempDir())
		c.Quota = minSegments * c.SegmentBytes
		s, _ := open(t, c)
		running(t, s)
		taken := 0
		var err error
		for ; err == nil && taken < 1000; taken++ {
			err = s.Accept(t.Context(), big(taken))
		}
		taken--
		if !errors.Is(err, ErrFull) || taken < 20 || taken > 60 {
			t.Fatalf("%d were taken, then %v", taken, err)
		}
		w.set("one", nil)
		time.Sleep(time.Minute)
		for i := taken; i < 2*taken; i++ {
			if err := s.Accept(t.Context(), big(i)); err != nil {
				t.Fatalf("event %d, after %d were sent: %v", i, taken, err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		w.mu.Lock()
		for i := range 2 * taken {
			if w.nodes["one"].taken[fmt.Sprint(i)] == "" {
				t.Errorf("event %d is missing", i)
			}
		}
		w.mu.Unlock()
		if st := s.Status(); st.Full != 1 || last(w, "one").Attrs[attrFull] != "1" {
			t.Errorf("%+v, %v", st, last(w, "one"))
		}
	})
}

// skipped is a disk that had to skip numbers more often than can be told, late in its life.
type skipped struct{ disk }

func (skipped) Void() (void []spool.Span) {
	for range 3 * maxVoid {
		void = append(void, spool.Span{First: math.MaxUint64 - 1, Last: math.MaxUint64})
	}
	return void
}

// The longest heartbeat that a sender makes is one that a node takes.
func TestLongestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, "one").config(t.TempDir())
		c.open = func(c Config, log *slog.Logger) (disk, error) {
			d, err := openSpool(c, log)
			return skipped{d}, err
		}
		s, _ := open(t, c)
		line, err := s.appendBeat(nil, rules.MaxInstant-1, math.MaxUint64, math.MaxUint64)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ingest.DecodeEvent(bytes.TrimSpace(line))
		if err != nil || e.Attrs[attrVoid] == "" {
			t.Fatalf("%s: %v", line, err)
		}
		if err := ingest.CheckEvent(&e); err != nil {
			t.Error(err)
		}
	})
}
