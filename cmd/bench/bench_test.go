package main

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/settle/cost"
)

func TestMain(m *testing.M) {
	clickhouse.RunChildIfAsked()
	os.Exit(m.Run())
}

// Every measure finds its answers right, at a size at which its figures say nothing.
func TestSettle(t *testing.T) {
	var out bytes.Buffer
	l := &lab{report: report{w: &out}, sizes: sizes{
		histories: []uint64{4000}, players: 400, slice: 2000, small: 1000, nth: 20_000, boards: 4000, targets: 1, repeats: 1,
		achievers: 40, conflicts: 40, ties: 20, rules: 8,
	}}
	closeEngine, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := closeEngine(); err != nil {
			t.Error(err)
		}
	}()
	for _, m := range measures() {
		before, began := out.Len(), time.Now()
		if err := m.run(t.Context(), l); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if out.Len() == before {
			t.Errorf("%s prints nothing", m.name)
		}
		t.Logf("%s took %s", m.name, time.Since(began).Round(time.Millisecond))
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// What a log is made of is what an ingest node would have written, copies included:
// verify, which computes every digest anew, finds no difference. An award that the log
// does not say is found.
func TestAnswers(t *testing.T) {
	l := &lab{report: report{w: &bytes.Buffer{}}}
	closeEngine, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := closeEngine(); err != nil {
			t.Error(err)
		}
	}()
	err = l.in(t.Context(), "answers", func(s *scene) error {
		p := &past{scene: s, players: 400, n: 4000}
		if _, err := p.begin(t.Context()); err != nil {
			return err
		}
		if err := p.tellNew(t.Context(), news{events: 1000, late: 20, copies: 5}); err != nil {
			return err
		}
		if _, err := s.settle(t.Context(), p.through); err != nil {
			return err
		}
		if err := p.check(t.Context()); err != nil {
			return err
		}
		if err := s.verify(t.Context()); err != nil {
			return err
		}
		p.threshold++
		if err := p.check(t.Context()); err == nil || !strings.Contains(err.Error(), "void") {
			t.Errorf("wrong awards: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every measure of taking events in finds its answers right, at a size at which its
// figures say nothing.
func TestIngest(t *testing.T) {
	var out bytes.Buffer
	in := &intake{report: report{w: &out}, dir: t.TempDir(), intakeSizes: intakeSizes{turns: 2, decoded: 100, appends: 5, acks: 640, visible: 64, forwards: 1500, behind: 4 << 20}}
	for _, m := range intakeMeasures() {
		before := out.Len()
		if err := m.run(t.Context(), in); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if out.Len() == before {
			t.Errorf("%s prints nothing", m.name)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// Histories of one kind agree, in several jobs that take turns.
func TestHistories(t *testing.T) {
	l := &lab{}
	closeEngine, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := closeEngine(); err != nil {
			t.Error(err)
		}
	}()
	server, err := clickhouse.Open(t.Context(), clickhouse.Config{Dir: l.dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	h := &histories{meter: meter{cost.Wrap(server.Conn())}, dir: l.dir, wilds: []string{"calm"}, from: 1, to: 4}
	if err := h.run(t.Context(), 2); err != nil || h.done != 3 {
		t.Errorf("%d of 3 agree: %v", h.done, err)
	}
}

// Each decoder that can be named is one that a test has: a part that runs none fails.
func TestFuzz(t *testing.T) {
	if err := runFuzz(t.Context(), []string{"--runs", "10"}); err != nil {
		t.Error(err)
	}
	if err := runFuzz(t.Context(), []string{"--runs", "10", "--decoder", "nobody"}); err == nil || !strings.Contains(err.Error(), "the names are") {
		t.Errorf("a decoder that nobody has: %v", err)
	}
}
