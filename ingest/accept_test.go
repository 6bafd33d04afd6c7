package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// disk is the disk of a node whose syncs wait for a test. Each round that was written
// waits for the test to say how its sync ended.
type disk struct {
	syncs   int
	results chan error
}

// openOn opens a node on such a disk, in a bubble of synctest.
func openOn(t *testing.T, cfg Config) (*Node, *disk) {
	t.Helper()
	d := &disk{results: make(chan error)}
	cfg.Stop = func(step string) error {
		if step != "accept.spooled" {
			return nil
		}
		d.syncs++
		return <-d.results
	}
	n, _ := openNode(t, nil, cfg)
	t.Cleanup(func() { close(d.results) }) // what still waits then lands
	return n, d
}

// answer is what a request was told, once it was told.
type answer struct {
	Result
	err  error
	told bool
}

func (a *answer) String() string {
	switch {
	case !a.told:
		return "waits"
	case a.err != nil:
		return "unknown"
	}
	return fmt.Sprintf("%d new %d known %d refused", a.Accepted, a.Duplicates, len(a.Rejected))
}

// send sends a request and returns when it waits for something.
func send(t *testing.T, n *Node, server string, list ...rules.Event) *answer {
	t.Helper()
	return sendContext(t, t.Context(), n, server, list...)
}

func sendContext(t *testing.T, ctx context.Context, n *Node, server string, list ...rules.Event) *answer { //nolint:revive // t comes first in tests
	t.Helper()
	a := &answer{}
	go func() {
		a.Result, a.err = n.Accept(ctx, Batch{Server: server, Region: "eu", Events: list})
		a.told = true
	}()
	synctest.Wait()
	return a
}

func (d *disk) sync(err error) {
	d.results <- err
	synctest.Wait()
}

var errDisk = errors.New("the disk failed")

func wantAnswers(t *testing.T, when, want string, answers ...*answer) {
	t.Helper()
	var got []string
	for _, a := range answers {
		got = append(got, a.String())
	}
	if strings.Join(got, "; ") != want {
		t.Fatalf("%s: %s; want %s", when, strings.Join(got, "; "), want)
	}
}

func heartbeat(seconds float64) rules.Event {
	e := event("", seconds)
	return rules.Event{Type: rules.TypeHeartbeat, At: e.At}
}

// Requests that come while a sync is under way share the next one.
func TestWhoWaitsSharesTheNextSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		answers := []*answer{send(t, n, "s0", event("a", 0))}
		for i := range 20 {
			answers = append(answers, send(t, n, fmt.Sprint("s", i+1), event("a", 0)))
		}
		for _, a := range answers {
			wantAnswers(t, "before the sync", "waits", a)
		}
		d.sync(nil)
		wantAnswers(t, "the first round landed", "1 new 0 known 0 refused; waits", answers[:2]...)
		d.sync(nil)
		for _, a := range answers {
			wantAnswers(t, "both landed", "1 new 0 known 0 refused", a)
		}
		if d.syncs != 2 || n.spool.Last() != 21 {
			t.Errorf("%d syncs, last offset %d", d.syncs, n.spool.Last())
		}
	})
}

// A duplicate of an event in flight is answered when its flight has landed, and fails
// with it; then the event is new again.
func TestDuplicateInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		first := send(t, n, "s", event("a", 0))
		copied := send(t, n, "s", event("a", 0))
		waiting := send(t, n, "s", event("b", 0))
		both := send(t, n, "s", event("a", 0), event("b", 0), event("b", 0))
		d.sync(errDisk)
		wantAnswers(t, "the first round failed", "unknown; unknown; waits; unknown", first, copied, waiting, both)
		d.sync(nil)
		wantAnswers(t, "the second landed", "1 new 0 known 0 refused", waiting)
		again := send(t, n, "s", event("a", 0), event("b", 0))
		wantAnswers(t, "sent again", "waits", again)
		d.sync(nil)
		wantAnswers(t, "sent again", "1 new 1 known 0 refused", again)
		known := send(t, n, "s", event("a", 0), event("b", 0))
		wantAnswers(t, "known", "0 new 2 known 0 refused", known)
	})
}

// A round that lands is answered though the round before it failed, and two contents of one
// identity in two rounds are a conflict.
func TestRoundsFailAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		lost := send(t, n, "s", event("a", 0))
		kept := send(t, n, "s2", event("a", 0))
		changed := event("a", 0)
		changed.Player = "another"
		conflict := send(t, n, "s", changed)
		d.sync(errDisk)
		d.sync(nil)
		wantAnswers(t, "after both", "unknown; 1 new 0 known 0 refused; 1 new 0 known 0 refused", lost, kept, conflict)
		if conflict.Conflicts != 1 {
			t.Errorf("%+v", conflict.Result)
		}
	})
}

// A server whose events the disk does not take speaks all the same: the watermark waits for
// what it keeps meanwhile.
func TestRefusedIsNotSilent(t *testing.T) {
	var fails error
	n, clock := openNode(t, nil, Config{Stop: func(string) error { return fails }})
	accept(t, n, "s", heartbeat(0))
	fails = errors.New("no space left on device")
	for minute := range 60 {
		clock.t = noon.Add(time.Duration(minute) * time.Minute)
		b := Batch{Server: "s", Region: "eu", Events: []rules.Event{event(clock.t.String(), clock.t.Sub(noon).Seconds())}}
		if _, err := n.Accept(t.Context(), b); err == nil {
			t.Fatal("it was taken")
		}
	}
	promises := newPromises()
	m, _ := promises.at(&n.marks, clock.t, n.cfg.SilentAfter)
	if got := clockText(rules.Instant(m.ns)); got != "11:59:58.95" || len(m.silent) > 0 {
		t.Errorf("the watermark is %s, silent is %v", got, m.silent)
	}
}

// The time in which a node's machine was suspended is nobody's silence.
func TestSuspendedNode(t *testing.T) {
	n, clock := openNode(t, nil, Config{})
	accept(t, n, "s", heartbeat(0))
	n.mu.Lock()
	n.wasAsleep()
	n.mu.Unlock()
	clock.t = noon.Add(time.Hour)
	promises := newPromises()
	for _, c := range []struct {
		after  time.Duration
		silent int
	}{{0, 0}, {n.cfg.SilentAfter, 0}, {time.Second, 1}} {
		for ; c.after > beat; c.after -= beat {
			clock.t = clock.t.Add(beat)
			n.snapshot(n.spool)
		}
		clock.t = clock.t.Add(c.after)
		_, marks := n.snapshot(n.spool)
		if m, _ := promises.at(&marks, clock.t, n.cfg.SilentAfter); len(m.silent) != c.silent {
			t.Errorf("at %s silent are %v", clock.t.Format(time.TimeOnly), m.silent)
		}
	}
}

// What a server says while something of it is in flight that then fails is not counted,
// though the round that it came with lands: the watermark would pass what is sent again.
func TestToldBehindAFailedRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		send(t, n, "s", event("a", 0))
		send(t, n, "other", event("b", 1))
		send(t, n, "s", heartbeat(2))
		d.sync(errors.New("no space left on device"))
		d.sync(nil)
		if said, known := n.marks.Servers["s"]; known {
			t.Errorf("it told %+v", said)
		}
		if _, known := n.marks.Servers["other"]; !known {
			t.Error("another server told nothing")
		}
	})
}

// A duplicate of what was in flight is not answered with "known" where that place is named
// lost before the answer.
func TestDuplicateInFlightIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		send(t, n, "s", event("a", 0))
		again := send(t, n, "s", event("a", 0))
		n.lose([]rules.Span{{First: 1, Last: 1}})
		d.sync(nil)
		wantAnswers(t, "lost at once", "unknown", again)
	})
}

// A heartbeat is answered when the newest round has landed, and fails with it.
func TestHeartbeatWaitsForTheNewestRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		alone := send(t, n, "s", heartbeat(-9))
		wantAnswers(t, "nothing in flight", "1 new 0 known 0 refused", alone)
		first := send(t, n, "s", event("a", 0))
		behind := send(t, n, "s", heartbeat(1))
		second := send(t, n, "s", event("b", 2))
		last := send(t, n, "s", heartbeat(3))
		d.sync(nil)
		wantAnswers(t, "the first landed", "1 new 0 known 0 refused; 1 new 0 known 0 refused; waits; waits", first, behind, second, last)
		d.sync(errDisk)
		wantAnswers(t, "the second failed", "unknown; unknown", second, last)
	})
}

// Refused events are refused alone, at once, whatever becomes of the others; a request
// of which nothing is left waits for nothing.
func TestRefusedWaitForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		bad := event("bad", 0)
		bad.Count = -1
		mixed := send(t, n, "s", event("a", 0), bad)
		refused := send(t, n, "s", bad)
		wantAnswers(t, "in flight", "waits; 0 new 0 known 1 refused", mixed, refused)
		d.sync(nil)
		wantAnswers(t, "landed", "1 new 0 known 1 refused", mixed)
	})
}

// A client that goes away stops waiting; its events land.
func TestClientGoneEventsLand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		inFlight := send(t, n, "s", event("a", 0))
		gone := sendContext(t, ctx, n, "s", event("b", 0))
		cancel()
		synctest.Wait()
		wantAnswers(t, "gone", "waits; unknown", inFlight, gone)
		if !errors.Is(gone.err, context.Canceled) {
			t.Error(gone.err)
		}
		d.sync(nil)
		d.sync(nil)
		wantAnswers(t, "again", "0 new 2 known 0 refused", send(t, n, "s", event("a", 0), event("b", 0)))
	})
}

// A request that finds no room in two rounds after each other is refused as a whole, and
// one that no round can hold at once.
func TestRoundsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		n.roundBytes = 2000 // one request, not two
		big := func(id string) []rules.Event {
			list := events(1, 7)
			for i := range list {
				list[i].ID = id + list[i].ID
			}
			return list
		}
		first := send(t, n, "s", big("a")...)
		second := send(t, n, "s", big("b")...) // fills the waiting round
		third := send(t, n, "s", big("c")...)
		fourth := send(t, n, "s", big("d")...)
		fifth := send(t, n, "s", big("e")...)
		for range 5 {
			select {
			case d.results <- nil:
				synctest.Wait()
			default:
			}
		}
		busy, landed := 0, 0
		for _, a := range []*answer{first, second, third, fourth, fifth} {
			switch {
			case !a.told:
				t.Error("one still waits")
			case errors.Is(a.err, ErrBusy):
				busy++
			case a.err == nil:
				landed++
			}
		}
		if busy != 1 || landed != 4 {
			t.Errorf("%d were told busy, %d landed", busy, landed)
		}
		if a := send(t, n, "s", events(1, 30)...); !errors.Is(a.err, ErrTooLarge) {
			t.Error(a.err)
		}
	})
}

// What a server says after what it said begins no earlier, also while that is in flight; a
// round that failed has said nothing.
func TestOrderHoldsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		send1 := func(e rules.Event, offset int) *answer {
			a := &answer{}
			go func() {
				a.Result, a.err = n.Accept(t.Context(), Batch{
					Server: "s", Region: "eu", Events: []rules.Event{e}, Clock: &Clock{OffsetNs: int64(offset)},
				})
				a.told = true
			}()
			synctest.Wait()
			return a
		}
		first := send1(event("a", -10), 0)
		send1(event("b", -9), -5e9) // another estimate: five seconds earlier
		d.sync(nil)
		d.sync(nil)
		failed := send1(event("c", -5), 0)
		d.sync(errDisk)
		send1(event("d", -6), 0) // not after what was said: that was lost
		d.sync(nil)
		wantAnswers(t, "answers", "1 new 0 known 0 refused; unknown", first, failed)
		var got []string
		if err := n.spool.Read(1, func(_ uint64, payload []byte) error {
			r, err := readRecord(payload)
			got = append(got, fmt.Sprint(r.ID, " ", clockText(r.Earliest), " ", r.Backdated))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want := "a 11:59:49.95 false; b 11:59:49.95 false; c 11:59:54.95 false; d 11:59:53.95 false"
		if strings.Join(got, "; ") != want {
			t.Errorf("%s\nwant %s", strings.Join(got, "; "), want)
		}
	})
}

// Close lets land what is in flight, and takes nothing more.
func TestCloseLandsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := openOn(t, Config{})
		first, second := send(t, n, "s", event("a", 0)), send(t, n, "s", event("b", 0))
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		synctest.Wait()
		if a := send(t, n, "s", event("c", 0)); !errors.Is(a.err, spool.ErrClosed) {
			t.Error(a)
		}
		d.sync(nil)
		d.sync(nil)
		wantAnswers(t, "closed", "1 new 0 known 0 refused; 1 new 0 known 0 refused", first, second)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// Many servers, the same events again and again, rounds that fail: what was acknowledged is
// in the spool.
func TestManyAtOnce(t *testing.T) {
	const servers, perServer = 8, 60
	var failing atomic.Int64
	n, _ := openNode(t, nil, Config{Stop: func(string) error {
		if failing.Add(1)%4 == 0 {
			return errDisk
		}
		return nil
	}})
	var all sync.WaitGroup
	for w := range servers * 2 { // two senders for each server
		all.Go(func() {
			server := fmt.Sprint("s", w/2)
			for i := 0; i < perServer; i += 3 {
				for {
					_, err := n.Accept(t.Context(), Batch{Server: server, Region: "eu", Events: events(i, i+4)})
					if err == nil {
						break
					}
					if !errors.Is(err, errDisk) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	if err := n.spool.Read(1, func(_ uint64, payload []byte) error {
		r, err := readRecord(payload)
		seen[r.Server+"/"+r.ID] = true
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := servers * (perServer - 3 + 5); len(seen) != want {
		t.Errorf("%d events of %d", len(seen), want)
	}
}

// What a stamp leaves open lies after it.
func TestStampsLeaveTimeOpen(t *testing.T) {
	n, _ := openNode(t, nil, Config{})
	b := Batch{Server: "s", Region: "eu", Events: []rules.Event{event("a", -2), event("b", -1)}, OpenNs: []int64{999_999, 0}, Clock: &Clock{}}
	if r, err := n.Accept(t.Context(), b); err != nil || r.Accepted != 2 {
		t.Fatal(r, err)
	}
	var got []int64
	if err := n.spool.Read(1, func(_ uint64, payload []byte) error {
		r, err := readRecord(payload)
		got = append(got, int64(r.Instant-r.Earliest), int64(r.Latest-r.Instant))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	e := int64(DefaultNodeClockErr)
	if fmt.Sprint(got) != fmt.Sprint([]int64{e, e + 999_999, e, e}) {
		t.Error(got)
	}
	for _, open := range [][]int64{{1}, {-1, 0}, {int64(MaxClockOffset) + 1, 0}} {
		b.OpenNs = open
		if _, err := n.Accept(t.Context(), b); err == nil {
			t.Errorf("%v was taken", open)
		}
	}
}
