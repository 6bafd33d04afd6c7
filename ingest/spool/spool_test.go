package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/ingest/mutate"
)

// open opens a spool and closes it when the test ends.
func open(t testing.TB, dir string, o Options) *Spool {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func add(t testing.TB, s *Spool, payloads ...string) uint64 {
	t.Helper()
	first, err := s.Append(payloadsOf(payloads...))
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func payloadsOf(payloads ...string) (list [][]byte) {
	for _, p := range payloads {
		list = append(list, []byte(p))
	}
	return list
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

func expect(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// each makes a segment for each append.
var each = Options{SegmentBytes: 1}

func TestOffsetsGoOnAfterRestartsAndPruning(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, each)
	for i := range 4 {
		expect(t, "offset", add(t, s, fmt.Sprint("a", i), "b"), 2*i+1)
	}
	expect(t, "contents", contents(t, s, 4), "4=b 5=a2 6=b 7=a3 8=b")
	now := time.Unix(1000, 0)
	s.Counted(5, now)
	if n, err := s.Prune(now, 0); err != nil || n != 2 {
		t.Fatalf("removed %d, %v", n, err)
	}
	expect(t, "contents", contents(t, s, 5), "5=a2 6=b 7=a3 8=b")
	if err := s.Read(4, nil); !errors.Is(err, ErrGone) {
		t.Fatalf("reading a pruned offset: %v", err)
	}
	s.Counted(8, now)
	if n, err := s.Prune(now, 0); err != nil || n != 1 {
		t.Fatalf("the last segment must stay: removed %d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, each)
	expect(t, "last", s.Last(), 8)
	expect(t, "offset", add(t, s, "new"), 9)
	expect(t, "contents", contents(t, s, 7), "7=a3 8=b 9=new")
	expect(t, "unreadable", s.Unreadable(), "[]")
}

// A folder that was only looked at holds no segment, and a small one costs little.
func TestWhatIsNotNeededIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		if err := open(t, dir, Options{}).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Fatalf("an unused spool holds %v", left)
	}
	s := open(t, dir, Options{})
	add(t, s, "a")
	if n, err := s.Bytes(); err != nil || n > 2*hurriedBytes {
		t.Fatalf("one event takes %d bytes, %v", n, err)
	}
	_ = s.Close()
	s = open(t, dir, Options{})
	_ = s.Close()
	expect(t, "segments after a restart", len(open(t, dir, Options{}).Segments()), 1)
}

// The segment that follows is made while the present one fills, and the first is small.
func TestNextSegmentIsMadeAhead(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentBytes: 40 << 10, hurried: 10 << 10}
	s := open(t, dir, o)
	for range 12 {
		add(t, s, strings.Repeat("x", 190))
		s.behind.Wait()
	}
	list := s.Segments()
	expect(t, "sizes", []int64{list[0].Bytes, list[1].Bytes}, []int64{o.hurried, o.SegmentBytes})
	for range 120 {
		add(t, s, strings.Repeat("x", 190))
	}
	s.behind.Wait()
	tmp, _ := filepath.Glob(filepath.Join(dir, "*"+tmpSuffix))
	expect(t, "made ready", len(tmp), 1)
	_ = s.Close()
	tmp, _ = filepath.Glob(filepath.Join(dir, "*"+tmpSuffix))
	expect(t, "left by Close", len(tmp), 0)
	s = open(t, dir, o)
	expect(t, "events", strings.Count(contents(t, s, 1), "="), 132)
}

func TestReadFollowsFromTheHint(t *testing.T) {
	s := open(t, t.TempDir(), Options{SegmentBytes: bodyAt + 300})
	for i := range 100 {
		add(t, s, fmt.Sprintf("p%02d", i))
		expect(t, "contents", contents(t, s, uint64(i+1)), fmt.Sprintf("%d=p%02d", i+1, i))
	}
	for from := uint64(100); from >= 1; from-- { // backwards: the hint is of no use
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
	expect(t, "unreadable after a Read that was stopped", s.Unreadable(), "[]")
}

func TestStageEntersWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, each)
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
	expect(t, "contents", contents(t, s, 1), "1=before 2=meanwhile")
	first, last, err := st.Commit()
	if err != nil || first != 3 || last != 5 {
		t.Fatalf("commit: %d to %d, %v", first, last, err)
	}
	if _, _, err := st.Commit(); !errors.Is(err, ErrClosed) {
		t.Fatalf("a second commit: %v", err)
	}
	if err := st.Append(nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("an append after the commit: %v", err)
	}
	add(t, s, "after")
	want := "1=before 2=meanwhile 3=x 4=y 5=z 6=after"
	expect(t, "contents", contents(t, s, 1), want)
	aborted, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(aborted.Append([]byte("never")), aborted.flush()); err != nil {
		t.Fatal(err)
	}
	// Then the process ends: neither Commit nor Abort.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, each)
	expect(t, "contents", contents(t, s, 1), want)
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+tmpSuffix)); len(left) > 0 {
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

// An import may be larger than a segment, and may be the first and the last thing.
func TestStageLargerThanASegment(t *testing.T) {
	dir := t.TempDir()
	o := Options{SegmentBytes: bodyAt + 1000}
	s := open(t, dir, o)
	st, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if err := st.Append(bytes.Repeat([]byte("y"), 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if first, last, err := st.Commit(); err != nil || first != 1 || last != 3000 {
		t.Fatalf("commit: %d to %d, %v", first, last, err)
	}
	_ = s.Close()
	s = open(t, dir, o)
	expect(t, "segments", len(s.Segments()), 1)
	expect(t, "last", s.Last(), 3000)
	expect(t, "events", strings.Count(contents(t, s, 1), "="), 3000)
}

// lockEnv makes this test binary open the spool it names and report.
const lockEnv = "PFTEST_SPOOL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockEnv); dir != "" {
		_, err := Open(dir, Options{})
		fmt.Print(err)
		if errors.Is(err, ErrLocked) {
			os.Exit(3)
		}
		os.Exit(4)
	}
	os.Exit(m.Run())
}

// Case 26: there is no lock file that could be deleted.
func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Fatalf("the folder holds %v, %v", entries, err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockEnv+"="+dir)
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(out), dir) {
		t.Fatalf("second process: %v, %s", err, out)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("same process: %v", err)
	}
	if _, err := Mend(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("mending: %v", err)
	}
	_ = s.Close()
	_ = open(t, dir, Options{}).Close()
}

func TestClosedSpoolRefuses(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, appended := s.Append(payloadsOf("a"))
	_, staged := s.Stage()
	_, raised := s.Raise(5)
	_, pruned := s.Prune(time.Time{}, 0)
	for _, err := range []error{appended, staged, raised, pruned, s.Read(1, nil)} {
		if !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestPayloadLimit(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if _, err := s.Append([][]byte{make([]byte, MaxPayloadBytes+1)}); err == nil {
		t.Error("a payload over the limit was taken")
	}
	if first, err := s.Append([][]byte{{}, make([]byte, MaxPayloadBytes), {}}); err != nil || first != 1 {
		t.Errorf("at the limit: %d, %v", first, err)
	}
	sizes := []int{}
	if err := s.Read(1, func(_ uint64, p []byte) error { sizes = append(sizes, len(p)); return nil }); err != nil {
		t.Error(err)
	}
	expect(t, "sizes", sizes, []int{0, MaxPayloadBytes, 0})
}

func TestConcurrentAppendsAndReads(t *testing.T) {
	s := open(t, t.TempDir(), Options{SegmentBytes: bodyAt + 2000, hurried: bodyAt + 500})
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
	expect(t, "last", s.Last(), 100)
	expect(t, "unreadable", s.Unreadable(), "[]")
}

// slowFS holds up every sync of a segment that has its name.
type slowFS struct {
	OS
	sync chan struct{}
}

type slowFile struct {
	File
	fs *slowFS
}

func (f *slowFS) Create(path string) (File, error) {
	file, err := f.OS.Create(path)
	return &slowFile{file, f}, err
}

func (f *slowFile) Datasync() error {
	f.fs.sync <- struct{}{}
	<-f.fs.sync
	return f.File.Datasync()
}

// What no sync covers yet is not read, and reading waits for no sync.
func TestReadDuringASync(t *testing.T) {
	disk := &slowFS{sync: make(chan struct{})}
	s := open(t, t.TempDir(), Options{FS: disk, manual: true})
	var wg sync.WaitGroup
	for _, want := range []string{"", "1=a"} {
		wg.Go(func() { add(t, s, string('a'+rune(len(want)/3))) })
		<-disk.sync
		expect(t, "during the sync", contents(t, s, 1), want)
		expect(t, "last during the sync", s.Last(), len(want)/3)
		disk.sync <- struct{}{}
		wg.Wait()
	}
	expect(t, "after it", contents(t, s, 1), "1=a 2=b")
	go func() { <-disk.sync; disk.sync <- struct{}{} }() // the mark that Close writes
	_ = s.Close()
}

// simOptions are those of a spool on a simulated disk.
func simOptions(p *simFS) Options {
	return Options{FS: p, SegmentBytes: bodyAt + 1000, hurried: bodyAt + 800, manual: true, random: p.d.r.Uint64}
}

func newSim() *simDisk { return newDisk(rand.New(rand.NewPCG(1, 2))) }

// start opens the spool on a disk by a new process.
func (d *simDisk) start(t testing.TB) *Spool {
	t.Helper()
	if d.owner != nil {
		d.owner.kill()
	}
	return open(t, simDir, simOptions(d.process()))
}

// A mark follows 50 ms after the last round, and no sooner.
func TestIdleMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSim()
		o := simOptions(d.process())
		o.manual = false
		s := open(t, simDir, o)
		marked := func() bool { s.writing.Lock(); defer s.writing.Unlock(); return s.active.marked }
		for range 3 {
			add(t, s, "a")
			time.Sleep(markAfter - time.Millisecond)
			synctest.Wait()
			if marked() {
				t.Fatal("marked while rounds follow each other")
			}
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if !marked() {
			t.Fatal("not marked")
		}
		_ = s.Close()
	})
}

// A disk that fails to read is asked for a minute; what it then still refuses is
// unreadable, and what it gives later is read.
func TestReadErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSim()
		s := d.start(t)
		add(t, s, "a", "b")
		d.failRead = 5
		began := time.Now()
		expect(t, "after some errors", contents(t, s, 1), "1=a 2=b")
		expect(t, "waited", time.Since(began), 5*time.Second)
		d.failRead = 1 << 30
		expect(t, "of a dead disk", contents(t, s, 1), "")
		expect(t, "waited", time.Since(began), 65*time.Second)
		expect(t, "unreadable", s.Unreadable(), "[{1 2}]")
		d.failRead = 0
		expect(t, "when it is well", contents(t, s, 1), "1=a 2=b")
		expect(t, "unreadable", s.Unreadable(), "[]")
		_ = s.Close()
	})
}

func TestSpans(t *testing.T) {
	l := spans(nil).add(Span{5, 7}, Span{1, 2}, Span{3, 3}, Span{6, 9}, Span{20, 20})
	expect(t, "add", l, "[{1 3} {5 9} {20 20}]")
	expect(t, "without", l.without(spans{{2, 6}, {9, 9}, {20, 30}}), "[{1 1} {7 8}]")
	expect(t, "within", l.within(spans{{2, 6}, {9, 30}}), "[{2 3} {5 6} {9 9} {20 20}]")
	var has []uint64
	for o := range uint64(22) {
		if l.has(o) {
			has = append(has, o)
		}
	}
	expect(t, "has", has, "[1 2 3 5 6 7 8 9 20]")
	expect(t, "count", l[1].Count(), 5)
}

// Any one changed byte of state.json is noticed, and so is a part of it.
func TestStateSum(t *testing.T) {
	st := state{3, 99, 7, spans{{4, 5}}, spans{{8, 8}}}
	b, err := st.encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := decodeState(b); !ok || fmt.Sprint(got) != fmt.Sprint(st) {
		t.Fatalf("read back %v, %v", got, ok)
	}
	for i := range b {
		wrong := slices.Clone(b)
		wrong[i] ^= 1
		if got, ok := decodeState(wrong); ok {
			t.Errorf("byte %d changed: %v", i, got)
		}
		if got, ok := decodeState(b[:i]); ok {
			t.Errorf("cut to %d bytes: %v", i, got)
		}
	}
}

// Whatever lies in the newest segment, the spool opens, reads what has its sums, and
// goes on.
func FuzzOpen(f *testing.F) {
	path, whole := threePayloads(f)
	f.Add(whole, true)
	f.Add(whole[:len(whole)-3], false)
	f.Add(whole[:headerCopy], true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, withState bool) { opensAndGoesOn(t, path, b, withState) })
}

// threePayloads returns a segment and its path.
func threePayloads(t testing.TB) (path string, whole []byte) {
	t.Helper()
	d := newSim()
	s := d.start(t)
	add(t, s, "first", "second payload")
	add(t, s, "the third one")
	path = d.segments()[0]
	return path, slices.Clone(d.names[path].data)
}

func opensAndGoesOn(t testing.TB, path string, b []byte, withState bool) {
	t.Helper()
	d := newSim()
	s := d.start(t)
	add(t, s, "first")
	if !withState {
		delete(d.names, filepath.Join(simDir, stateName))
	}
	d.names[path].data, d.names[path].disk = b, b
	d.owner.kill()
	s, err := Open(simDir, simOptions(d.process()))
	if errors.Is(err, ErrVersion) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	before := s.Last()
	if err := s.Read(1, func(o uint64, _ []byte) error {
		if o > before {
			t.Fatalf("offset %d after the last, %d", o, before)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if add(t, s, "goes on") != before+1 {
		t.Fatal("the next offset is not the next")
	}
}

// The same of very many segments that are nearly whole.
func TestMutated(t *testing.T) {
	path, whole := threePayloads(t)
	corpus := []string{string(whole), string(whole[:len(whole)-3]), string(whole[:headerCopy]), ""}
	t.Run("spool", func(t *testing.T) {
		mutate.Run(t, os.Getenv, corpus, func(t testing.TB, r *rand.Rand, b []byte) {
			t.Helper()
			opensAndGoesOn(t, path, b, r.IntN(2) == 0)
		})
	})
}
