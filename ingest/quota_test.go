package ingest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// A node whose spool has taken its quota keeps nothing more, says why, and still knows what
// it has.
func TestSpoolQuota(t *testing.T) {
	n, clock := openNode(t, nil, Config{SegmentBytes: 4096, Quota: 8 * 4096})
	send := func(from, count int) (Result, error) {
		b := Batch{Server: "e1", Region: "eu"}
		for i := range count {
			b.Events = append(b.Events, rules.Event{
				ID: fmt.Sprint(from + i), Type: rules.TypeKill, At: rules.Instant(clock.now().UnixNano()), Player: strings.Repeat("p", 100),
			})
		}
		return n.Accept(t.Context(), b)
	}
	kept := 0
	var err error
	for err == nil && kept < 10_000 {
		if _, err = send(kept, 10); err == nil {
			kept += 10
		}
	}
	if !errors.Is(err, spool.ErrFull) || kept == 0 {
		t.Fatalf("after %d events: %v", kept, err)
	}
	if r, err := send(0, 10); err != nil || r.Duplicates != 10 {
		t.Errorf("what it has: %+v, %v", r, err)
	}
	if _, err := New(nil, discard(), Config{Node: "n", Dir: t.TempDir(), SegmentBytes: 4096, Quota: 4096}, clock.now); err == nil {
		t.Error("a quota of one segment")
	}
}
