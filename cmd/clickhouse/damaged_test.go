package clickhouse

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
)

// strangeLibrary is a library that loads and is no engine, so that the child ends in the
// middle of its start with a trace of Go's, as it does with an engine of which bytes
// are others.
func strangeLibrary() string {
	if runtime.GOOS == "darwin" {
		return "libSystem.B.dylib"
	}
	return "libc.so.6"
}

func engineWith(dir string, library func(ctx context.Context, again bool) (string, error)) *embedded {
	return &embedded{folder: folder{root: dir}, log: slog.New(slog.DiscardHandler), port: freePort, library: library}
}

// A library with which the child crashes is doubted: it is asked for again, once, and
// then the engine runs.
func TestCrashingLibraryIsDoubted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := Config{Dir: dir, Library: os.Getenv("PHOTOFINISH_CLICKHOUSE_LIBRARY")}
	doubted := 0
	e := engineWith(dir, func(ctx context.Context, again bool) (string, error) {
		if again {
			doubted++
		}
		if doubted == 0 {
			return strangeLibrary(), nil
		}
		return findLibrary(ctx, cfg, dir, false)
	})
	if err := e.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if doubted != 1 {
		t.Errorf("asked again %d times, want once", doubted)
	}
	if err := e.leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// One that crashes and is whole, or was given by hand, is an error of one line that
// says how the child ended and where the rest is.
func TestCrashingLibraryIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := func(context.Context, bool) (string, error) { return strangeLibrary(), nil }
	given := func(ctx context.Context, again bool) (string, error) {
		if !again {
			return strangeLibrary(), nil
		}
		return findLibrary(ctx, Config{Library: os.Args[0]}, dir, again)
	}
	for _, c := range []struct {
		name    string
		library func(context.Context, bool) (string, error)
		want    []string
	}{
		{"whole", whole, []string{"exit status 2", "panic: ", "engine.out"}},
		{"given", given, []string{"exit status 2", "panic: ", "engine.out", "clickhouse.library", "is it a libchdb.so"}},
	} {
		err := engineWith(dir, c.library).join(t.Context())
		if err == nil {
			t.Fatalf("%s: no error", c.name)
		}
		text := err.Error()
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %s", c.name, want, text)
			}
		}
		if strings.Contains(text, "\n") || strings.Contains(text, "goroutine") || len(text) > 600 {
			t.Errorf("%s: not one line of words: %s", c.name, text)
		}
	}
}
