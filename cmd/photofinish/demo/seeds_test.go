package demo

import (
	"bytes"
	"log/slog"
	"os"
	"strconv"
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
)

// play plays a world to its end, and returns it with all that was printed.
func play(t testing.TB, seed uint64, hours int) (*World, string) {
	t.Helper()
	return playIn(t, Config{Seed: seed, Hours: hours})
}

// playIn is play in a world with a network of its own.
func playIn(t testing.TB, cfg Config) (*World, string) {
	t.Helper()
	var out bytes.Buffer
	var w *World
	cfg.Dir, cfg.Each = t.TempDir(), func(h *Hour) { _ = w.WriteHour(&out, h) }
	w, err := New(clickhousetest.New(t), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), cfg)
	if err == nil {
		err = w.Play(t.Context())
	}
	if err != nil {
		t.Fatalf("seed %d, %d hours: %v", cfg.Seed, cfg.Hours, err)
	}
	return w, out.String()
}

// Every world holds all guarantees, whatever its seed and however short it is.
// PFTEST_DEMO_SEEDS sets how many are played.
func TestWorldsHold(t *testing.T) {
	seeds, err := strconv.Atoi(os.Getenv("PFTEST_DEMO_SEEDS"))
	if err != nil {
		seeds = 3
	}
	for seed := range uint64(seeds) {
		length := []int{6, 1, 8, 6, 6, 2, 6, 3, 6, 4, 6, 5}[seed%12]
		w, _ := play(t, seed+100, length)
		audit, err := w.Audit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range audit.Checks {
			if !c.OK {
				t.Errorf("seed %d, %d hours: %s %s (%s): %q", seed+100, length, c.Guarantee, c.Name, c.Checked, c.Problems)
			}
		}
	}
}
