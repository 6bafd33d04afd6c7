package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// All that is done to a node is refused or ended, and what is honest is in the log, at a
// size at which figures say nothing.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time limits of slow connections")
	}
	var out bytes.Buffer
	f := &flood{report: report{w: &out}, dir: t.TempDir(), length: time.Second, slow: 60, rate: 50}
	binary, err := build(t.Context(), f.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.run(t.Context(), binary); err != nil && !strings.Contains(err.Error(), "over their limit") {
		t.Error(err)
	}
	for said, times := range map[string]int{"nothing that was refused": 1, "ended by the node: 60 of 60": 2} {
		if got := strings.Count(out.String(), said); got != times {
			t.Errorf("it says %q %d times, want %d:\n%s", said, got, times, out.String())
		}
	}
}

// What a process has used and had at most is what the kernel says of it.
func TestChild(t *testing.T) {
	var out bytes.Buffer
	in := &intake{report: report{w: &out}, dir: t.TempDir()}
	binary, err := in.photofinish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChild(t.Context(), binary, filepath.Join(in.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.start(t.Context(), "ingest"); err != nil {
		t.Fatal(err)
	}
	if peak, err := c.peak(); err != nil || peak < 10<<20 || peak > 1<<30 {
		t.Errorf("it had %d bytes, %v", peak, err)
	}
	if used, err := cpuOf(c.cmd.Process.Pid); err != nil || used < 0 || used > time.Minute {
		t.Errorf("it used %v, %v", used, err)
	}
}
