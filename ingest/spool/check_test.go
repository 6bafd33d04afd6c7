package spool

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// Check names each damage with file and place, and nothing else; it changes nothing.
func TestCheck(t *testing.T) {
	flip := func(at int) func([]byte) []byte { return func(b []byte) []byte { b[at] ^= 1; return b } }
	second := bodyAt + 2*frameBytes + int(padded(2)) // where the payload of the second event begins
	for name, c := range map[string]struct {
		damage func(*simDisk)
		want   []string // one in each problem
	}{
		"nothing":       {func(*simDisk) {}, nil},
		"an event":      {func(d *simDisk) { d.spoil(d.segments()[1], flip(second)) }, []string{"bytes up to byte", "offsets 4 to 4 cannot be read"}},
		"a header":      {func(d *simDisk) { d.spoil(d.segments()[1], flip(headerCopy+9)) }, []string{"at byte 4096 is damaged; the other is intact"}},
		"both headers":  {func(d *simDisk) { d.spoil(d.segments()[1], flip(9)); d.spoil(d.segments()[1], flip(headerCopy+20)) }, []string{"offsets 3 to 4", "neither copy"}},
		"a short file":  {func(d *simDisk) { d.spoil(d.segments()[0], func(b []byte) []byte { return b[:second] }) }, []string{"it ends at byte 8272 of 8992", "bytes up to byte", "offsets 2 to 2 cannot"}},
		"a middle file": {func(d *simDisk) { delete(d.names, d.segments()[1]) }, []string{"segments 2 to 2 are missing", "offsets 3 to 4"}},
		"the newest":    {func(d *simDisk) { delete(d.names, d.segments()[3]) }, []string{"the newest segment, 4, is missing"}},
		"the state":     {func(d *simDisk) { d.spoil(filepath.Join(simDir, stateName), flip(5)) }, []string{"state.json is missing or damaged"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := four(t)
			c.damage(d)
			before := string(d.names[d.segments()[0]].data)
			r, err := check(d.process(), simDir)
			if err != nil {
				t.Fatal(err)
			}
			var problems []string
			problems = append(problems, r.Problems...)
			for _, g := range r.Segments {
				problems = append(problems, g.Problems...)
			}
			expect(t, "ok", r.OK(), len(c.want) == 0)
			for i, want := range c.want {
				if i >= len(problems) || !strings.Contains(problems[i], want) {
					t.Fatalf("problem %d should say %q: %q", i, want, problems)
				}
			}
			expect(t, "problems", len(problems), len(c.want))
			expect(t, "the file", string(d.names[d.segments()[0]].data) == before, true)
		})
	}
	if _, err := Check(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What a running spool and one that was killed look like is no damage.
func TestCheckOfALivingSpool(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for range 3 {
		add(t, s, "a", "b")
		if r, err := Check(dir); err != nil || !r.OK() || r.Segments[0].Events == 0 {
			t.Fatal(r, err)
		}
	}
	st, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	_ = st.Append([]byte("c"))
	if _, _, err := st.Commit(); err != nil {
		t.Fatal(err)
	}
	r, err := Check(dir)
	if err != nil || !r.OK() || len(r.Segments) != 2 || r.Segments[0].Last != 6 || r.Segments[1].Last != 7 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// After a kill the events of the last round are copied into a new segment. They are counted
// once, so that the events are as many as the offsets.
func TestCheckCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that no mark is written before the kill
		d := newSim()
		add(t, d.start(t), "a", "b")
		s := d.start(t)
		add(t, s, "c")
		r, err := check(d.process(), simDir)
		if err != nil {
			t.Fatal(err)
		}
		events := uint64(0)
		for _, g := range r.Segments {
			events += g.Events
		}
		expect(t, "segments", len(r.Segments), 2)
		expect(t, "the first of the second", r.Segments[1].First, 1)
		expect(t, "events", events, 3)
		_ = s.Close()
	})
}

// What is readable of a segment without a header, and of one with damage, is taken in
// again under new offsets, once.
func TestMend(t *testing.T) {
	d := four(t)
	paths := d.segments()
	d.spoil(paths[1], func(b []byte) []byte { b[20] ^= 1; b[headerCopy+9] ^= 1; return b }) // one salt is intact
	d.spoil(paths[2], func(b []byte) []byte { clear(b[:bodyAt]); return b })                // none is
	s := d.start(t)
	expect(t, "unreadable", func() []Span { _ = contents(t, s, 1); return s.Unreadable() }(), spans{{3, 6}})
	_ = s.Close()
	r, err := check(d.process(), simDir)
	if err != nil || r.OK() || len(r.Damaged) != 2 || r.Damaged[0].Events != 2 || r.Damaged[1].Events != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, want := range []uint64{2, 0} {
		events, err := Mend(simDir, simOptions(d.process()))
		if err != nil || events != want {
			t.Fatalf("mended %d, want %d: %v", events, want, err)
		}
	}
	s = d.start(t)
	expect(t, "contents", contents(t, s, 1), "1=a0 2=b0 7=a3 8=b3 9=a1 10=b1")
	expect(t, "unreadable", s.Unreadable(), spans{{3, 6}})
	r, err = check(d.process(), simDir)
	if err != nil || len(r.Damaged) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, path := range paths[1:3] {
		if d.names[filepath.Join(simDir, damagedDir, filepath.Base(path))+".mended"] == nil {
			t.Errorf("%s is not kept", path)
		}
	}
	if n, err := Mend(t.TempDir(), Options{}); n != 0 || err != nil {
		t.Error(n, err)
	}
}
