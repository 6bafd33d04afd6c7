package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, dir string, segmentBytes int64) *Spool {
	t.Helper()
	s, err := Open(dir, segmentBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func add(t testing.TB, s *Spool, payloads ...string) uint64 {
	t.Helper()
	var b [][]byte
	for _, p := range payloads {
		b = append(b, []byte(p))
	}
	first, err := s.Append(b)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func contents(t testing.TB, s *Spool, from uint64) string {
	t.Helper()
	var b strings.Builder
	err := s.Read(from, func(offset uint64, payload []byte) error {
		fmt.Fprintf(&b, "%d=%s ", offset, payload)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func expect(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestOffsetsGoOnAfterRestartsAndPruning(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1) // a segment for each append
	for i := range 4 {
		if first := add(t, s, fmt.Sprint("a", i), "b"); first != uint64(2*i+1) {
			t.Fatalf("append %d got offset %d", i, first)
		}
	}
	expect(t, contents(t, s, 4), "4=b 5=a2 6=b 7=a3 8=b")
	if _, err := s.Prune(5, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	expect(t, contents(t, s, 5), "5=a2 6=b 7=a3 8=b")
	if err := s.Read(4, nil); !errors.Is(err, ErrGone) {
		t.Fatalf("reading a pruned offset: %v", err)
	}
	removed, err := s.Prune(8, time.Now().Add(time.Hour))
	if err != nil || removed != 1 {
		t.Fatalf("the last segment must stay: removed %d, %v", removed, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 1)
	if s.Last() != 8 || add(t, s, "new") != 9 {
		t.Fatalf("offsets do not go on: %d", s.Last())
	}
	expect(t, contents(t, s, 7), "7=a3 8=b 9=new")
}

func TestPruneKeepsWhatIsYoungOrNotForwarded(t *testing.T) {
	s := open(t, t.TempDir(), 1)
	add(t, s, "a")
	add(t, s, "b")
	add(t, s, "c")
	for _, c := range []struct {
		upTo   uint64
		before time.Time
		want   int
	}{{2, time.Now().Add(-time.Hour), 0}, {0, time.Now().Add(time.Hour), 0}, {1, time.Now().Add(time.Hour), 1}} {
		if n, err := s.Prune(c.upTo, c.before); err != nil || n != c.want {
			t.Errorf("prune up to %d: removed %d, want %d, %v", c.upTo, n, c.want, err)
		}
	}
}

func TestReadFollowsFromTheMark(t *testing.T) {
	s := open(t, t.TempDir(), 200)
	for i := range 100 {
		add(t, s, fmt.Sprintf("p%02d", i))
		expect(t, contents(t, s, uint64(i+1)), fmt.Sprintf("%d=p%02d", i+1, i))
	}
	for from := uint64(100); from >= 1; from-- { // backwards: the mark is of no use
		got := contents(t, s, from)
		if !strings.HasPrefix(got, fmt.Sprintf("%d=p%02d", from, from-1)) || !strings.HasSuffix(got, "100=p99") {
			t.Fatalf("from %d: %q", from, got)
		}
	}
	stopped := 0
	err := s.Read(1, func(uint64, []byte) error { stopped++; return ErrStop })
	if err != nil || stopped != 1 {
		t.Fatalf("ErrStop: %d calls, %v", stopped, err)
	}
}

func TestStageEntersWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	add(t, s, "before")
	st, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"x", "y", "z"} {
		if err := st.Append([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	add(t, s, "meanwhile")
	expect(t, contents(t, s, 1), "1=before 2=meanwhile")
	first, last, err := st.Commit()
	if err != nil || first != 3 || last != 5 {
		t.Fatalf("commit: %d to %d, %v", first, last, err)
	}
	if _, _, err := st.Commit(); !errors.Is(err, ErrClosed) {
		t.Fatalf("a second commit: %v", err)
	}
	add(t, s, "after")
	want := "1=before 2=meanwhile 3=x 4=y 5=z 6=after"
	expect(t, contents(t, s, 1), want)
	aborted, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	if err := aborted.Append([]byte("never")); err != nil {
		t.Fatal(err)
	}
	_ = aborted.out.Flush() // then the process dies: neither Commit nor Abort
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 0)
	expect(t, contents(t, s, 1), want)
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Fatalf("stages left: %v", left)
	}
	empty, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	if first, last, err := empty.Commit(); err != nil || first != 7 || last != 6 {
		t.Fatalf("empty commit: %d to %d, %v", first, last, err)
	}
}

func TestStageAsFirstSegment(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	st, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Append([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, contents(t, open(t, dir, 0), 1), "1=x")
}

// A crash after a segment was begun and before anything was written to it.
func TestEmptySegmentIsReplaced(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	add(t, s, "a")
	s.mu.Lock()
	err := s.begin()
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = open(t, dir, 1)
	if s.Last() != 1 {
		t.Fatalf("last %d", s.Last())
	}
	add(t, s, "b")
	expect(t, contents(t, s, 1), "1=a 2=b")
	_ = s.Close()
	expect(t, contents(t, open(t, dir, 1), 1), "1=a 2=b")
}

// lockEnv makes this test binary open the spool it names and report.
const lockEnv = "PHOTOFINISH_TEST_SPOOL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockEnv); dir != "" {
		_, err := Open(dir, 0)
		fmt.Print(err)
		if errors.Is(err, ErrLocked) {
			os.Exit(3)
		}
		os.Exit(4)
	}
	os.Exit(m.Run())
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, 0)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockEnv+"="+dir)
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(out), fmt.Sprint(os.Getpid())) {
		t.Fatalf("second process: %v, %s", err, out)
	}
	if _, err := Open(dir, 0); !errors.Is(err, ErrLocked) {
		t.Fatalf("same process: %v", err)
	}
}

func TestClosedSpoolRefuses(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append([][]byte{[]byte("a")}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := s.Read(1, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := s.Stage(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestPayloadLimit(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	if _, err := s.Append([][]byte{make([]byte, MaxPayloadBytes+1)}); err == nil {
		t.Error("a payload over the limit was taken")
	}
	if first, err := s.Append([][]byte{make([]byte, MaxPayloadBytes), {}}); err != nil || first != 1 {
		t.Errorf("at the limit: %d, %v", first, err)
	}
	n := 0
	if err := s.Read(1, func(_ uint64, p []byte) error { n += len(p); return nil }); err != nil || n != MaxPayloadBytes {
		t.Errorf("read back %d bytes, %v", n, err)
	}
}

func TestConcurrentAppendsAndReads(t *testing.T) {
	s := open(t, t.TempDir(), 4096)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				if _, err := s.Append([][]byte{fmt.Appendf(nil, "%d-%d", w, i)}); err != nil {
					t.Error(err)
				}
				next := uint64(1)
				if err := s.Read(1, func(o uint64, _ []byte) error {
					if o != next {
						return fmt.Errorf("offset %d after %d", o, next-1)
					}
					next++
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s.Last() != 100 {
		t.Fatalf("last %d", s.Last())
	}
}

// small writes a spool of one segment and returns its file.
func small(t testing.TB, dir string) (path string, content []byte) {
	t.Helper()
	s := open(t, dir, 0)
	add(t, s, "first", "second payload")
	add(t, s, "the third one")
	path = s.Segments()[0].Path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

// ends are the sizes of a segment at which it holds 0, 1, 2 and 3 whole frames.
func ends() []int {
	e := []int{headerBytes}
	for _, p := range []string{"first", "second payload", "the third one"} {
		e = append(e, e[len(e)-1]+frameBytes+len(p))
	}
	return e
}

func TestTruncatedAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	path, whole := small(t, dir)
	for size := range whole {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, 0)
		if size < headerBytes {
			// Segments get their name only with a synced header, so this is damage.
			var damage *CorruptionErr
			if !errors.As(err, &damage) {
				t.Fatalf("cut to %d bytes: %v", size, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut to %d bytes: %v", size, err)
		}
		frames := 0
		for frames < 3 && ends()[frames+1] <= size {
			frames++
		}
		if s.Last() != uint64(frames) {
			t.Fatalf("cut to %d bytes: last offset %d, want %d", size, s.Last(), frames)
		}
		if add(t, s, "next") != uint64(frames+1) || strings.Count(contents(t, s, 1), "=") != frames+1 {
			t.Fatalf("cut to %d bytes: does not go on: %s", size, contents(t, s, 1))
		}
		for _, g := range s.Segments() {
			_ = os.Remove(g.Path)
		}
		_ = s.Close()
	}
}

func TestFlippedAtEveryBit(t *testing.T) {
	dir := t.TempDir()
	path, whole := small(t, dir)
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, 0)
			var damage *CorruptionErr
			if !errors.As(err, &damage) {
				_ = s.Close()
				t.Fatalf("byte %d bit %d flipped: %v", i, bit, err)
			}
			if damage.Segment != path || damage.Offset > int64(i) {
				t.Fatalf("byte %d bit %d flipped: reported %v", i, bit, damage)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, b) {
				t.Fatalf("byte %d bit %d: the damaged file was changed", i, bit)
			}
		}
	}
}

func TestOlderSegmentIsCheckedWhenRead(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"flipped": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		"emptied": func(b []byte) []byte { return b[:headerBytes] },
		"zeroed":  func(b []byte) []byte { clear(b[headerBytes:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, whole := small(t, dir)
			s := open(t, dir, 0)
			add(t, s, "in the next segment")
			_ = s.Close()
			if err := os.WriteFile(path, damage(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, 0)
			var damage *CorruptionErr
			if err := s.Read(1, func(uint64, []byte) error { return nil }); !errors.As(err, &damage) {
				t.Fatalf("read: %v", err)
			}
			expect(t, contents(t, s, 4), "4=in the next segment")
		})
	}
}

func TestZerosAfterAPowerCutAreTorn(t *testing.T) {
	dir := t.TempDir()
	path, whole := small(t, dir)
	for _, zeros := range []int{1, frameBytes, 4096, 3 * readBuffer} {
		if err := os.WriteFile(path, append(bytes.Clone(whole), make([]byte, zeros)...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 0)
		if s.Last() != 3 {
			t.Fatalf("%d zeros: last %d", zeros, s.Last())
		}
		_ = s.Close()
	}
}

func TestMissingSegmentIsNoticed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	for range 3 {
		add(t, s, "a")
	}
	middle := s.Segments()[1].Path
	_ = s.Close()
	if err := os.Remove(middle); err != nil {
		t.Fatal(err)
	}
	var damage *CorruptionErr
	err := open(t, dir, 1).Read(1, func(uint64, []byte) error { return nil })
	if !errors.As(err, &damage) {
		t.Fatal(err)
	}
}

// Whatever lies in a segment, reading it ends with payloads that were summed
// right, or an error; never with a panic, and Open never grows the file.
func FuzzOpen(f *testing.F) {
	_, whole := small(f, f.TempDir())
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := segmentPath(dir, 1)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, 0)
		if err != nil {
			return
		}
		defer func() { _ = s.Close() }()
		after, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(b, after) {
			t.Fatalf("open changed more than the tail: %v", err)
		}
		n := uint64(0)
		if err := s.Read(1, func(uint64, []byte) error { n++; return nil }); err != nil || n != s.Last() {
			t.Fatalf("read %d of %d: %v", n, s.Last(), err)
		}
		add(t, s, "goes on")
	})
}
