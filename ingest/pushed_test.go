package ingest

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
)

// A server that sent its log itself is not imported for the same time: the ids of the
// two differ, so its kills would count twice.
func TestImportOfWhatWasPushed(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{Node: "live"})
	dir := t.TempDir()
	at := time.Date(2026, 3, 9, 21, 30, 0, 0, time.UTC)
	path := put(t, filepath.Join(dir, "a.log"), []byte(arena2))
	push := func(server, id string, shift time.Duration) {
		e := event(id, at.Add(shift).Sub(noon).Seconds())
		accept(t, n, server, e)
	}
	push("arena", "1A2B3C:4711", 0)
	push("arena", "1A2B3C:4812", 999*time.Millisecond)
	push("before", "1A2B3C:4711", -time.Second)
	push("after", "1A2B3C:4711", time.Second)
	push("json", "b17", 0)
	forwardNow(t, n)
	im, _ := openNode(t, conn, Config{Node: "import"})
	for server, sent := range map[string]uint64{"arena": 2, "before": 0, "after": 0, "json": 1, "nobody": 0} {
		s, err := im.Import(t.Context(), ImportOptions{Server: server, Region: "eu", Paths: []string{path}})
		pushed, ok := errors.AsType[*PushedError](err)
		switch {
		case ok != (sent > 0) || !ok && (err != nil || s.Accepted != 2):
			t.Errorf("%s: %+v, %v", server, s, err)
		case ok && (pushed.Events != sent || !pushed.From.Time().Equal(at) || pushed.To.Time().Sub(at) != time.Duration(sent-1)*999*time.Millisecond):
			t.Errorf("%s: %+v", server, pushed)
		}
	}
	s, err := im.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Paths: []string{path}, Again: true})
	if err != nil || s.Accepted != 2 {
		t.Errorf("again: %+v, %v", s, err)
	}
	forwardNow(t, im)
	// All of it is in now: nothing would count twice that does not already.
	if s := importNow(t, im, path); s.Duplicates != 2 {
		t.Errorf("%+v", s)
	}
	// Events that bring their own ids are the same ones, sent or imported.
	json := put(t, filepath.Join(dir, "a.ndjson"), []byte(`{"id":"n:1","type":"kill","at":"2026-03-09T21:30:00Z","player":"p","target":"r"}`))
	if s := importNow(t, im, json); s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
}

// Each file is compared by its own time: what the server sent on the day between two of
// them would count once only.
func TestImportBesideWhatWasPushed(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{Node: "live"})
	dir := t.TempDir()
	at := time.Date(2026, 3, 9, 21, 30, 0, 0, time.UTC)
	put(t, filepath.Join(dir, "a.log"), []byte(arena2))
	put(t, filepath.Join(dir, "b.log"), []byte(strings.ReplaceAll(arena2, "03/09", "03/11")))
	put(t, filepath.Join(dir, "c.log"), []byte(strings.ReplaceAll(arena2, "03/09", "03/13")))
	const day = 24 * time.Hour
	for server, shift := range map[string][]time.Duration{
		"between": {day, 2*day - time.Nanosecond, 2*day + time.Second, 3 * day},
		"within":  {day, 2 * day, 4*day + time.Second - time.Nanosecond, 5 * day},
	} {
		for i, by := range shift {
			e := event(fmt.Sprint("b", i), 0)
			e.At = rules.Instant(at.Add(by).UnixNano())
			accept(t, n, server, e)
		}
	}
	forwardNow(t, n)
	im, _ := openNode(t, conn, Config{Node: "import"})
	s, err := im.Import(t.Context(), ImportOptions{Server: "between", Region: "eu", Paths: []string{dir}})
	if err != nil || s.Accepted != 6 {
		t.Errorf("between: %+v, %v", s, err)
	}
	_, err = im.Import(t.Context(), ImportOptions{Server: "within", Region: "eu", Paths: []string{dir}})
	want := PushedError{Server: "within", Events: 2, From: rules.Instant(at.Add(2 * day).UnixNano()), To: rules.Instant(at.Add(4*day + time.Second - 1).UnixNano())}
	if pushed, ok := errors.AsType[*PushedError](err); !ok || *pushed != want {
		t.Errorf("within: %v, not %v", err, &want)
	}
}
