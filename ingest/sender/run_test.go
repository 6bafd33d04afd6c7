package sender

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/rules"
)

// run sends for that long, and until nothing moves.
func run(t testing.TB, s *Sender, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	time.Sleep(d)
	synctest.Wait()
	cancel()
	if err := <-ended; err != context.Canceled { //nolint:errorlint // it is that very error
		t.Errorf("Run ended with %v", err)
	}
}

// running sends until the test ends.
func running(t testing.TB, s *Sender) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { _ = s.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
}

func last(w *world, host string) line {
	r := w.requests(host)
	lines := r[len(r)-1].lines
	return lines[len(lines)-1]
}

// What is kept is sent once, in order, with its place as seq, and a heartbeat of that
// moment behind it; after a restart nothing is sent again.
func TestSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		s, _ := open(t, c)
		numbered := kill("b")
		numbered.Seq = 1007
		accept(t, s, "a")
		if err := s.Accept(t.Context(), numbered); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		run(t, s, 0)
		r := w.requests("one")
		now := time.Now().UTC().Format(time.RFC3339)
		expect(t, r[0].body, `{"seq":1,"id":"a","type":"kill","at":"2000-01-01T00:00:00Z","player":"p","target":"rabbit"}
{"seq":1007,"id":"b","type":"kill","at":"2000-01-01T00:00:00Z","player":"p","target":"rabbit"}
{"id":"`+s.opening+`-h1","type":"heartbeat","at":"`+now+`"}
`)
		if len(r) != 1 || r[0].key != "Bearer pf_test" {
			t.Errorf("%d requests with key %s", len(r), r[0].key)
		}
		_ = s.Close()
		w.forget()
		s, _ = open(t, c)
		run(t, s, 0)
		expect(t, w.sent("one"), "♥")
		if st := s.Status(); st.Unsent != 0 || st.Node != "http://one" {
			t.Errorf("%+v", st)
		}
	})
}

// An idle sender says that it is there; what comes is sent at once, ten times a second.
func TestHeartbeatsAndLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		s, _ := open(t, w.config(t.TempDir()))
		running(t, s)
		time.Sleep(61 * time.Second)
		expect(t, w.sent("one"), "♥ | ♥ | ♥ | ♥")
		w.forget()
		accept(t, s, "a")
		synctest.Wait()
		accept(t, s, "b", "c")
		synctest.Wait()
		expect(t, w.sent("one"), "a ♥")
		time.Sleep(linger)
		synctest.Wait()
		expect(t, w.sent("one"), "a ♥ | b c ♥")
	})
}

// A sender that makes no heartbeats passes on the newest that it is given, behind what was
// given before it.
func TestGivenHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		c.Heartbeat = -1
		f := onFaulty(&c)
		s, _ := open(t, c)
		running(t, s)
		time.Sleep(time.Minute)
		expect(t, w.sent("one"), "")
		at := rules.Instant(time.Now().UnixNano()) - 5e9
		accept(t, s, "a")
		synctest.Wait()
		for _, i := range []rules.Instant{at, at - 1e9} {
			if err := s.Heartbeat(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		expect(t, w.sent("one"), "a | ♥")
		if l := last(w, "one"); l.At != at {
			t.Errorf("the heartbeat says %s, not %s", l.At, at)
		}
		// One waits for what is being written, and shares its fate.
		hold := make(chan struct{})
		f.set(context.DeadlineExceeded, hold)
		results := make(chan error, 2)
		go func() { results <- s.Accept(t.Context(), kill("b")) }()
		synctest.Wait()
		go func() { results <- s.Heartbeat(t.Context(), at+1e9) }()
		time.Sleep(time.Second)
		close(hold)
		for range 2 {
			if err := <-results; err == nil {
				t.Error("it was promised")
			}
		}
		if err := s.Heartbeat(t.Context(), 1); err == nil {
			t.Error("a heartbeat of 1970 was taken")
		}
		time.Sleep(time.Minute)
		expect(t, w.sent("one"), "a | ♥")
	})
}

// A heartbeat does not overtake an event that has its instant and is still being written,
// nor a batch that is too large for one request.
func TestHeartbeatStandsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		f := onFaulty(&c)
		s, _ := open(t, c)
		accept(t, s, "a")
		landed := rules.Instant(time.Now().UnixNano())
		time.Sleep(time.Second)
		hold := make(chan struct{})
		f.set(nil, hold)
		b := kill("b")
		go func() { _ = s.Accept(t.Context(), b) }()
		time.Sleep(time.Second)
		run(t, s, 0)
		expect(t, w.sent("one"), "a ♥")
		if at := last(w, "one").At; at != landed {
			t.Errorf("the heartbeat says %s, and b happened at %s", at, b.At)
		}
		close(hold)
		synctest.Wait()
		f.set(nil, nil)
		w.forget()
		var many []*rules.Event
		for i := range maxBatchEvents {
			many = append(many, kill(fmt.Sprint(i)))
		}
		if _, err := s.AcceptAll(t.Context(), many); err != nil {
			t.Fatal(err)
		}
		run(t, s, time.Second)
		r := w.requests("one")
		if len(r) != 2 || len(r[0].lines) != maxBatchEvents || len(r[1].lines) != 2 || r[0].lines[maxBatchEvents-1].Type == rules.TypeHeartbeat {
			t.Errorf("%d requests, the first of %d lines", len(r), len(r[0].lines))
		}
	})
}

// Whatever a node says that is no answer for the events, the same bytes are sent again, and
// what came meanwhile waits behind them.
func TestSameBytesUntilAnswered(t *testing.T) {
	for name, a := range map[string]reply{
		"nobody there": {down: true}, "answer lost": {lost: true}, "too slow": {delay: time.Hour},
		"503": {status: 503, problem: true}, "500": {status: 500}, "408": {status: 408}, "429": {status: 429},
		"a portal's 200": {status: 200, body: "<html>welcome</html>"},
		"another's 200":  {status: 200, body: `{"status":"ok"}`},
		"wrong counts":   {status: 200, body: `{"accepted":1,"duplicates":0,"rejected":[]}`},
		"wrong line":     {status: 200, body: `{"accepted":1,"duplicates":0,"rejected":[{"line":9,"id":"","error":""}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "one")
				w.set("one", always(a))
				s, _ := open(t, w.config(t.TempDir()))
				accept(t, s, "a")
				running(t, s)
				time.Sleep(4 * time.Minute)
				accept(t, s, "b")
				time.Sleep(4 * time.Minute)
				r := w.requests("one")
				if len(r) < 8 || s.Status().Trouble == "" {
					t.Errorf("%d requests in 8 minutes, trouble %q", len(r), s.Status().Trouble)
				}
				for i := range r {
					if r[i].body != r[0].body {
						t.Fatalf("request %d has other bytes", i)
					}
				}
				w.set("one", nil)
				w.forget()
				time.Sleep(2 * time.Minute)
				if got := w.sent("one"); !strings.HasPrefix(got, "a ♥ | b ♥ | ♥") {
					t.Errorf("then it sent %s", got)
				}
				if st := s.Status(); st != (Status{Node: "http://one"}) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A node that takes nothing for a third of the silence is left for the next, with what is
// unacknowledged first; ten minutes after the first is ready again, it gets what is new.
func TestNextNodeAndBack(t *testing.T) {
	for name, a := range map[string]reply{
		"down": {down: true}, "hangs": {delay: time.Hour}, "503": {status: 503}, "401": {status: 401, problem: true},
		"429": {status: 429, header: map[string]string{"Retry-After": "100000"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "one", "two")
				s, _ := open(t, w.config(t.TempDir()))
				running(t, s)
				accept(t, s, "a")
				time.Sleep(time.Second)
				w.set("one", always(a))
				w.nodes["one"].ready = false
				accept(t, s, "b")
				time.Sleep(time.Second)
				failed := firstWith(w, "one", "b")
				accept(t, s, "c")
				time.Sleep(time.Until(failed.at.Add(DefaultPatience)) - time.Nanosecond)
				synctest.Wait()
				expect(t, w.sent("two"), "")
				time.Sleep(time.Second)
				if got := w.sent("two"); !strings.HasPrefix(got, "b ♥ | c ♥") {
					t.Errorf("the next node got %s", got)
				}
				if first := w.requests("two")[0]; first.body != failed.body || strings.Contains(failed.clock, first.clock) {
					t.Error("the next node got other bytes, or the clock exchange of the first")
				}
				w.forget()
				w.mu.Lock()
				w.nodes["one"].answer, w.nodes["one"].ready = nil, true
				w.mu.Unlock()
				time.Sleep(readyFor)
				expect(t, w.sent("one"), "")
				time.Sleep(2 * readyEvery)
				accept(t, s, "d")
				time.Sleep(time.Second)
				if got := w.sent("one"); !strings.HasSuffix(got, "d ♥") || s.Status().Node != "http://one" {
					t.Errorf("the first node got %s, %+v", got, s.Status())
				}
			})
		})
	}
}

// firstWith returns the first request that begins with an event.
func firstWith(w *world, host, id string) request {
	for _, r := range w.requests(host) {
		if r.lines[0].ID == id {
			return r
		}
	}
	w.t.Fatalf("node %s never got %s", host, id)
	return request{}
}

// A first node that is ready now and then is not gone back to.
func TestFlappingNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one", "two")
		w.set("one", always(reply{down: true}))
		s, _ := open(t, w.config(t.TempDir()))
		running(t, s)
		time.Sleep(6 * time.Minute)
		for range 10 {
			for _, ready := range []bool{false, true} {
				w.mu.Lock()
				w.nodes["one"].ready = ready
				w.mu.Unlock()
				time.Sleep(5 * time.Minute)
			}
		}
		if s.Status().Node != "http://two" {
			t.Error("it went back")
		}
	})
}

// Without the mark, or with one that is damaged or of another spool, all that is left is
// sent again, with the same bytes.
func TestMarkLost(t *testing.T) {
	for name, mark := range map[string]string{
		"none": "", "half": "2", "flipped": strings.Replace(markText(2), "2", "3", 1), "of another spool": markText(4),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "one")
				c := w.config(t.TempDir())
				s, _ := open(t, c)
				accept(t, s, "a", "b", "c")
				run(t, s, 0)
				first := w.requests("one")[0]
				_ = s.Close()
				if err := os.WriteFile(s.path(markFile), []byte(mark), 0o600); err != nil {
					t.Fatal(err)
				}
				w.forget()
				s, _ = open(t, c)
				run(t, s, 0)
				for i, l := range w.requests("one")[0].lines[:3] {
					expect(t, l.text, first.lines[i].text)
				}
				if b, err := os.ReadFile(s.path(markFile)); err != nil || string(b) != markText(3) {
					t.Errorf("the mark is %q, %v", b, err)
				}
			})
		})
	}
}

// Flush waits for the nodes, no longer than its context.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		w.set("one", always(reply{delay: time.Second}))
		s, _ := open(t, w.config(t.TempDir()))
		running(t, s)
		accept(t, s, "a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Flush(ctx); err == nil {
			t.Error("it did not wait")
		}
		if err := s.Flush(t.Context()); err != nil || s.Status().Unsent != 0 {
			t.Errorf("%v, %+v", err, s.Status())
		}
	})
}
