package badnet_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"photofinish/cmd/internal/badnet"
)

// world is a node that counts what it takes, behind a bad network with one fault at a time.
type world struct {
	*badnet.Proxy

	fault atomic.Pointer[badnet.Fault] // of the next connections
	taken atomic.Int64                 // requests that the node has read whole
}

func newWorld(t *testing.T) *world {
	w := &world{}
	node := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.taken.Add(1)
		_, _ = fmt.Fprint(answer, "taken")
	}))
	t.Cleanup(node.Close)
	p, err := badnet.New(t.Context(), node.Listener.Addr().String(), func() badnet.Fault { return *w.fault.Load() })
	if err != nil {
		t.Fatal(err)
	}
	w.Proxy = p
	return w
}

// ask sends a request over a connection of its own and reports whether it got the whole answer.
func (w *world) ask(t *testing.T) bool {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.Addr(), strings.NewReader("twenty bytes of text"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return err == nil && string(text) == "taken"
}

// Wherever a request is cut, the node has it only where it all came; wherever an answer is
// cut, the node has it and the client does not know. A cut behind the end is none.
func TestCuts(t *testing.T) {
	const longest = 400 // more than request and answer have
	for _, back := range []bool{false, true} {
		w := newWorld(t)
		cuts, whole := 0, 0
		for at := int64(1); at <= longest; at++ {
			w.fault.Store(&badnet.Fault{CutThere: at})
			if back {
				w.fault.Store(&badnet.Fault{CutBack: at})
			}
			before, counted := w.taken.Load(), w.Counts()
			answered := w.ask(t)
			took := w.taken.Load() > before
			now := w.Counts()
			cut := now.CutThere > counted.CutThere || now.CutBack > counted.CutBack
			switch {
			case cut == answered:
				t.Fatalf("cut at byte %d, back %v: cut %v and answered %v", at, back, cut, answered)
			case took != (answered || back):
				t.Fatalf("cut at byte %d, back %v: the node took it: %v; the client knows: %v", at, back, took, answered)
			case cut:
				cuts++
			default:
				whole++
			}
		}
		if cuts < 50 || whole < 50 {
			t.Errorf("back %v: %d cuts and %d whole, too few of one", back, cuts, whole)
		}
	}
}

// A late request reaches the node when it is delivered, behind its own copy, and once.
func TestLate(t *testing.T) {
	w := newWorld(t)
	w.fault.Store(&badnet.Fault{Late: true})
	if w.ask(t) || w.taken.Load() != 0 {
		t.Fatal("a late request was answered, or has arrived")
	}
	w.fault.Store(&badnet.Fault{})
	if !w.ask(t) || w.taken.Load() != 1 {
		t.Fatal("its copy was not answered")
	}
	for range 2 {
		if err := w.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.taken.Load() != 2 {
			t.Errorf("the node has %d requests, not the copy and the late one", w.taken.Load())
		}
	}
	if got, want := w.Counts(), (badnet.Counts{Connections: 2, Late: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}
