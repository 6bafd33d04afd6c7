package sender

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

func readIfThere(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// contents returns "offset=id" of what is in the spool.
func contents(t testing.TB, s *Sender) string {
	t.Helper()
	var all []string
	id := regexp.MustCompile(`"id":"([^"]*)"`)
	err := s.disk.Read(s.disk.First(), func(offset uint64, payload []byte) error {
		all = append(all, fmt.Sprintf("%d=%s", offset, id.FindSubmatch(payload)[1]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// faulty is a disk whose writes fail, or wait, as the test says.
type faulty struct {
	disk
	mu     sync.Mutex
	err    error
	hold   chan struct{} // not nil: an Append waits for it
	rounds int
}

func (f *faulty) Append(payloads [][]byte) (uint64, error) {
	f.mu.Lock()
	err, hold := f.err, f.hold
	f.rounds++
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return 0, err
	}
	return f.disk.Append(payloads)
}

func (f *faulty) set(err error, hold chan struct{}) {
	f.mu.Lock()
	f.err, f.hold = err, hold
	f.mu.Unlock()
}

// onFaulty puts a faulty disk below a configuration.
func onFaulty(c *Config) *faulty {
	f := &faulty{}
	c.open = func(c Config, log *slog.Logger) (_ disk, err error) {
		f.disk, err = openSpool(c, log)
		return f, err
	}
	return f
}

// What Accept took is in the spool with an id and an instant, in one order, and so it is
// after the next opening.
func TestAcceptedIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, "one").config(t.TempDir())
		s, _ := open(t, c)
		e := rules.Event{Type: rules.TypeKill, Player: "p"}
		if err := s.Accept(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^946684800-[0-9a-f]{16}-1$`).MatchString(e.ID) {
			t.Errorf("the made id is %q", e.ID)
		}
		if e.At != rules.Instant(time.Now().UnixNano()) {
			t.Errorf("at %s", e.At)
		}
		accept(t, s, "mine")
		want := "1=" + e.ID + " 2=mine"
		expect(t, contents(t, s), want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Accept(t.Context(), kill("late")); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		s, _ = open(t, c)
		expect(t, contents(t, s), want)
	})
}

// The same disk opened twice, as a copy of a machine would, makes different ids.
func TestCopiedDiskRepeatsNoID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		for range 3 {
			s, _ := open(t, newWorld(t, "one").config(t.TempDir()))
			for range 3 {
				e := rules.Event{Type: rules.TypeKill, Player: "p"}
				if err := s.Accept(t.Context(), &e); err != nil || seen[e.ID] {
					t.Errorf("id %s again, or %v", e.ID, err)
				}
				seen[e.ID] = true
			}
		}
	})
}

// An event that is given again is one event: while it is written, afterwards, after a
// restart, and after a write whose outcome nobody knew. With another content it is another.
func TestSameEventAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, "one").config(t.TempDir())
		f := onFaulty(&c)
		s, _ := open(t, c)
		hold := make(chan struct{})
		f.set(nil, hold)
		results := make(chan error, 3)
		e := kill("a")
		e.At = rules.Instant(time.Now().UnixNano())
		for range 3 {
			same := *e
			go func() { results <- s.Accept(t.Context(), &same) }()
			synctest.Wait()
		}
		close(hold)
		for range 3 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		f.set(nil, nil)
		if n, err := s.AcceptAll(t.Context(), []*rules.Event{e, e, kill("b")}); n != 2 || err != nil {
			t.Errorf("%d duplicates, %v", n, err)
		}
		expect(t, contents(t, s), "1=a 2=b")
		_ = s.Close()
		s, _ = open(t, c)
		other := *e
		other.Target = "hare"
		if n, err := s.AcceptAll(t.Context(), []*rules.Event{e, &other}); n != 1 || err != nil {
			t.Errorf("%d duplicates, %v", n, err)
		}
		expect(t, contents(t, s), "1=a 2=b 3=a")
	})
}

// A write that fails promises nothing, to nobody who waited for it, and takes no number;
// the same events are taken again afterwards.
func TestFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, "one").config(t.TempDir())
		f := onFaulty(&c)
		s, _ := open(t, c)
		broken := errors.New("the disk is broken")
		hold := make(chan struct{})
		f.set(broken, hold)
		e, same := kill("a"), kill("a")
		e.At = rules.Instant(time.Now().UnixNano())
		same.At = e.At
		results := make(chan error, 2)
		go func() { results <- s.Accept(t.Context(), e) }()
		synctest.Wait()
		go func() { results <- s.Accept(t.Context(), same) }()
		synctest.Wait()
		close(hold)
		for range 2 {
			if err := <-results; !errors.Is(err, broken) {
				t.Errorf("who waited got %v", err)
			}
		}
		f.set(nil, nil)
		if err := s.Accept(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		expect(t, contents(t, s), "1=a")
		if st := s.Status(); st.Full != 0 || st.Unsent != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A full disk refuses the event, counts it, uses no number, and says so in the next
// heartbeat; sending goes on.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		f := onFaulty(&c)
		s, l := open(t, c)
		accept(t, s, "a")
		f.set(fmt.Errorf("append: %w", spool.ErrFull), nil)
		if _, err := s.AcceptAll(t.Context(), []*rules.Event{kill("b"), kill("c")}); !errors.Is(err, ErrFull) || !errors.Is(err, spool.ErrFull) {
			t.Errorf("got %v", err)
		}
		run(t, s, 0)
		expect(t, w.sent("one"), "a ♥")
		if told := last(w, "one").Attrs[attrFull]; told != "2" {
			t.Errorf("the heartbeat tells of %q", told)
		}
		f.set(nil, nil)
		accept(t, s, "b")
		expect(t, contents(t, s), "1=a 2=b")
		if st := s.Status(); st.Full != 2 || strings.Count(l.String(), "disk is full") != 1 {
			t.Errorf("%+v, %s", st, l)
		}
	})
}

// What a node has, and is only kept to know it again, makes room on a full disk.
func TestFullDiskRemovesWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		f := &quota{}
		c.open = func(c Config, log *slog.Logger) (_ disk, err error) {
			f.disk, err = openSpool(c, log)
			return f, err
		}
		s, _ := open(t, c)
		accept(t, s, "a")
		f.full = true
		if err := s.Accept(t.Context(), kill("b")); !errors.Is(err, ErrFull) || f.prunedTo != 0 {
			t.Fatalf("pruned to %d before it was sent: %v", f.prunedTo, err)
		}
		run(t, s, 0)
		if err := s.Accept(t.Context(), kill("b")); err != nil || f.prunedTo != 1 {
			t.Fatalf("pruned to %d, %v", f.prunedTo, err)
		}
	})
}

// quota is a disk that is full until something is removed.
type quota struct {
	disk
	full     bool
	prunedTo uint64
}

func (q *quota) Append(p [][]byte) (uint64, error) {
	if q.full {
		return 0, spool.ErrFull
	}
	return q.disk.Append(p)
}

func (q *quota) Prune(upTo uint64, _ time.Time, keep time.Duration) (int, error) {
	if keep > 0 {
		return 0, nil
	}
	q.prunedTo = upTo
	if upTo == 0 {
		return 0, nil
	}
	q.full = false
	return 1, nil
}

// The end of a context ends the waiting, not the event.
func TestContextEndsTheWaitingAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, "one").config(t.TempDir())
		f := onFaulty(&c)
		s, _ := open(t, c)
		hold := make(chan struct{})
		f.set(nil, hold)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Accept(ctx, kill("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := s.Accept(ctx, kill("never")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with an ended context: %v", err)
		}
		close(hold)
		synctest.Wait()
		expect(t, contents(t, s), "1=a")
	})
}

// Many goroutines share a write, and what they get are instants in the order of places.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, "one").config(t.TempDir())
		f := onFaulty(&c)
		s, _ := open(t, c)
		hold := make(chan struct{})
		f.set(nil, hold)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if err := s.Accept(t.Context(), kill(fmt.Sprintf("e%02d", i))); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Millisecond) // of the bubble: instants differ
		}
		synctest.Wait()
		close(hold)
		all.Wait()
		if f.rounds != 2 {
			t.Errorf("50 events took %d rounds, not the one in flight and one behind it", f.rounds)
		}
		var before rules.Instant
		at := regexp.MustCompile(`"at":"([^"]*)"`)
		err := s.disk.Read(1, func(offset uint64, payload []byte) error {
			i, err := rules.ParseInstant(string(at.FindSubmatch(payload)[1]))
			if err != nil || i < before {
				return fmt.Errorf("offset %d happened at %s, after one at %s: %w", offset, i, before, err)
			}
			before = i
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A clock that goes back by less than a second is waited for; one that was set is followed.
func TestClockGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, "one").config(t.TempDir())
		set := 2 * time.Hour
		c.Now = func() time.Time { return time.Now().Add(set) }
		s, _ := open(t, c)
		var got []string
		for _, by := range []time.Duration{0, -900 * time.Millisecond, time.Second, -time.Hour} {
			set = 2*time.Hour + by
			e := kill("")
			if err := s.Accept(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.At.Time().Format("15:04:05"))
		}
		expect(t, strings.Join(got, " "), "02:00:00 02:00:00 02:00:01 01:00:00")
	})
}

func TestWhatAcceptRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, newWorld(t, "one").config(t.TempDir()))
		for want, e := range map[string]*rules.Event{
			"has no type":   {Player: "p"},
			"heartbeat":     {Type: rules.TypeHeartbeat},
			"not UTF-8":     {Type: "kill", Player: "\xff"},
			"outside":       {Type: "kill", At: 1},
			"more than":     {Type: "kill", Player: strings.Repeat("x", MaxEventBytes)},
			`"\xff" is not`: {Type: "kill", Attrs: map[string]string{"\xff": ""}},
		} {
			if err := s.Accept(t.Context(), e); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("want an error with %q, got %v", want, err)
			}
		}
		if err := Check(&rules.Event{Type: "kill"}); err != nil {
			t.Error(err)
		}
		if last := s.disk.Last(); last != 0 {
			t.Errorf("%d are in the spool", last)
		}
	})
}

func TestOneOwnerOfTheFolder(t *testing.T) {
	c := newWorld(t, "one").config(t.TempDir())
	open(t, c)
	if _, err := Open(c, (&logs{}).logger()); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("a second sender: %v", err)
	}
}
