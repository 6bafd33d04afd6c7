package sender

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/rules"
)

// history is one random life of a sender, its disk and two nodes.
type history struct {
	*testing.T
	rng  *rand.Rand
	w    *world
	disk *faulty
	cfg  Config
	s    *Sender
	stop func() // ends Run

	accepted map[string]bool // ids of which Accept returned nil
	given    map[string]bool // ids that Accept ever saw
	again    map[string]bool // those that it saw more than once: a heartbeat may have come between
	number   int
}

// Whatever nodes answer, drop or delay, the disk refuses, and the process dies: every
// event whose Accept returned nil is taken by some node, with the same bytes wherever it
// is sent and however often; nothing else is; what no node had yet comes in order of seq;
// and a heartbeat never comes before an event that had its instant by then.
func TestRandomHistories(t *testing.T) {
	n := 6
	if testing.Short() {
		n = 2 // the race detector's part
	}
	if more, err := strconv.Atoi(os.Getenv("PFTEST_HISTORIES")); err == nil {
		n = more
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { live(t, uint64(seed)) }) })
	}
}

func live(t *testing.T, seed uint64) {
	h := &history{
		T: t, rng: rand.New(rand.NewPCG(seed, 7)), w: newWorld(t, "one", "two"),
		accepted: map[string]bool{}, given: map[string]bool{}, again: map[string]bool{},
	}
	h.cfg = h.w.config(t.TempDir())
	for _, n := range h.w.nodes {
		n.all = true
	}
	h.start()
	for range 150 {
		h.step()
	}
	for host := range h.w.nodes {
		h.w.set(host, nil)
	}
	h.disk.set(nil, nil)
	h.one("the last")
	time.Sleep(2 * DefaultPatience)
	h.die()
	h.check()
}

func (h *history) start() {
	h.disk = onFaulty(&h.cfg)
	h.s, _ = open(h.T, h.cfg)
	ctx, cancel := context.WithCancel(h.Context())
	ended := make(chan struct{})
	go func() { _ = h.s.Run(ctx); close(ended) }()
	h.stop = func() { cancel(); <-ended }
}

// die ends the process as kill -9 does: nothing is told, nothing is finished. What the
// disk was told of is there.
func (h *history) die() {
	h.stop()
	_ = h.s.Close()
	if h.rng.IntN(2) == 0 {
		_ = os.Remove(h.s.path(markFile))
	}
}

func (h *history) step() {
	switch p := h.rng.IntN(100); {
	case p < 55:
		h.one("")
	case p < 75:
		time.Sleep(time.Duration(h.rng.Int64N(int64(30 * time.Second))))
	case p < 80:
		time.Sleep(time.Duration(h.rng.Int64N(int64(15 * time.Minute))))
	case p < 92:
		h.w.set([]string{"one", "two"}[h.rng.IntN(2)], h.weather())
	case p < 96:
		h.disk.set([]error{errors.New("broken"), nil, nil}[h.rng.IntN(3)], nil)
	default:
		h.die()
		h.start()
	}
}

// one gives some events, at once or each alone, and again what got an error.
func (h *history) one(id string) {
	events := make([]*rules.Event, 1+h.rng.IntN(3))
	for i := range events {
		h.number++
		events[i] = kill(fmt.Sprintf("%s%d", id, h.number))
		h.given[events[i].ID] = true
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(h.Context(), time.Duration(h.rng.Int64N(int64(time.Second))))
		_, err := h.s.AcceptAll(ctx, events)
		cancel()
		if err == nil {
			for _, e := range events {
				h.accepted[e.ID] = true
			}
			return
		}
		for _, e := range events {
			h.again[e.ID] = true
		}
	}
}

// weather makes a node that answers badly.
func (h *history) weather() func(request) reply {
	rng := rand.New(rand.NewPCG(h.rng.Uint64(), 7))
	badness := rng.IntN(110)
	return func(request) reply {
		if rng.IntN(100) >= badness {
			return reply{delay: time.Duration(rng.Int64N(int64(time.Second)))}
		}
		return []reply{
			{down: true},
			{lost: true},
			{lost: true, delay: time.Minute},
			{status: 503},
			{status: 502, body: "<html>"},
			{status: 429, header: map[string]string{"Retry-After": "7"}},
			{status: 401, problem: true},
			{status: 413, body: "<html>"},
			{status: 200, body: "welcome"},
		}[rng.IntN(9)]
	}
}

func (h *history) check() {
	bytes, taken := map[string]string{}, map[string]bool{}
	for _, n := range h.w.nodes {
		for _, r := range n.requests {
			for _, l := range r.lines {
				if before, again := bytes[l.ID]; again && before != l.text {
					h.Errorf("%s was sent as %s and as %s", l.ID, before, l.text)
				}
				bytes[l.ID] = l.text
			}
		}
	}
	var seq uint64
	var promised rules.Instant
	for _, l := range h.w.log {
		switch {
		case l.Type == rules.TypeHeartbeat:
			promised = max(promised, l.At)
		case taken[l.ID]: // once a node has it, order does not matter
		case !h.given[l.ID]:
			h.Errorf("%s was never given", l.ID)
		case l.Seq <= seq:
			h.Errorf("%s with seq %d was taken after %d", l.ID, l.Seq, seq)
		case l.At < promised && !h.again[l.ID]:
			h.Errorf("%s of %s was taken behind a heartbeat of %s", l.ID, l.At, promised)
		default:
			seq = l.Seq
		}
		taken[l.ID] = true
	}
	for id := range h.accepted {
		if !taken[id] {
			h.Errorf("%s was accepted, and no node has it", id)
		}
	}
	if s := refusedEvents(h.T, h.s); s != "" {
		h.Errorf("set aside: %s", s)
	}
}
