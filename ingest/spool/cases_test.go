package spool

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// clone copies a disk as it is.
func (d *simDisk) clone() *simDisk {
	c := newDisk(d.r)
	c.dirs = maps.Clone(d.dirs)
	c.retired = slices.Clone(d.retired)
	copies := map[*simFile]*simFile{}
	for _, m := range []struct{ from, to map[string]*simFile }{{d.names, c.names}, {d.durable, c.durable}} {
		for name, f := range m.from {
			if copies[f] == nil {
				copies[f] = &simFile{slices.Clone(f.data), slices.Clone(f.disk), slices.Clone(f.dirty)}
			}
			m.to[name] = copies[f]
		}
	}
	return c
}

// cut is a power cut that leaves those of the unsynced sectors of one file.
func (d *simDisk) cut(path string, subset uint) {
	for n, i := range d.names[path].sectors() {
		if subset&(1<<n) != 0 {
			d.names[path].persist(i)
		}
	}
	d.durable = d.names
	for _, f := range d.names {
		clear(f.dirty)
		f.data = slices.Clone(f.disk)
	}
}

// Cases 1 and 2: whatever a power cut leaves of a round that nobody was answered for,
// the spool starts, holds all that was acknowledged and a prefix of the round, and
// gives no offset of the rest again.
func TestPowerCutInARound(t *testing.T) {
	d := newSim()
	s := d.start(t)
	add(t, s, "one", "two")
	path := d.segments()[0]
	d.owner.left = 2 // the write is done, the sync is not
	round := make([]string, 7)
	for i := range round {
		round[i] = strings.Repeat(string('a'+rune(i)), 30)
	}
	if _, err := s.Append(payloadsOf(round...)); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	dirty := len(d.names[path].sectors())
	rules := map[string]int{}
	for subset := range uint(1) << dirty {
		c := d.clone()
		c.cut(path, subset)
		s := c.start(t)
		got := strings.Fields(contents(t, s, 1))
		if len(got) < 2 || got[0] != "1=one" || got[1] != "2=two" {
			t.Fatalf("sectors %b: %v", subset, got)
		}
		for i, p := range got[2:] {
			expect(t, "a part of the round", p, fmt.Sprintf("%d=%s", i+3, round[i]))
		}
		next := uint64(len(got) + 1)
		if void := s.Void(); len(void) > 0 {
			expect(t, "void", void, spans{{next, 2 + boundSpan - 2}})
			next = void[0].Last + 1
			rules["R8"]++
		} else {
			rules["R7"]++ // all of it, none, or up to where a frame and a sector end together
		}
		expect(t, "unreadable", s.Unreadable(), "[]")
		expect(t, "next", add(t, s, "new"), next)
	}
	if dirty < 5 || rules["R7"] < 2 || rules["R7"] > 1+dirty || rules["R8"] < 10 {
		t.Fatalf("%d sectors, %v", dirty, rules)
	}
}

// Case 3: bytes of an older file behind the end are no frames of this one.
func TestOlderFileBehindTheEnd(t *testing.T) {
	d := newSim()
	s := d.start(t)
	add(t, s, "old", "old", "old", "old", "old")
	s.idle()
	old := slices.Clone(d.names[d.segments()[0]].data)
	s = d.start(t)
	add(t, s, "new")
	path := d.segments()[1]
	used := s.segments[1].used
	for _, zeros := range []int64{0, 8, 64} {
		c := d.clone()
		c.spoil(path, func(b []byte) []byte {
			copy(b[used+zeros:], old[used+zeros:])
			return b
		})
		s := c.start(t)
		expect(t, "contents", contents(t, s, 1), "1=old 2=old 3=old 4=old 5=old 6=new")
		expect(t, "next", add(t, s, "next"), 6+boundSpan)
		expect(t, "void", s.Void(), spans{{7, 5 + boundSpan}})
	}
}

// Case 4: a payload that is a frame does not take the place of the one around it,
// even if whoever made it knew its place and its number.
func TestPayloadThatIsAFrame(t *testing.T) {
	d := newSim()
	s := d.start(t)
	at := int64(bodyAt + frameBytes + frameBytes) // behind a mark, within the first event
	forged := appendFrame(nil, 0, at, frame{payload: []byte("FORGED")})
	add(t, s, string(forged), "after")
	s.idle()
	d.spoil(d.segments()[0], func(b []byte) []byte { b[bodyAt+frameBytes] ^= 1; return b })
	s = d.start(t)
	expect(t, "contents", contents(t, s, 1), "2=after")
	expect(t, "unreadable", s.Unreadable(), "[{1 1}]")
}

// Cases 5, 6 and 8, bit by bit: with a mark behind it, one flipped bit costs one
// offset at most, and that is named; in a header it costs nothing.
func TestEveryFlippedBit(t *testing.T) {
	d := newSim()
	s := d.start(t)
	add(t, s, "first", "second payload")
	add(t, s, "the third one")
	s.idle()
	path := d.segments()[0]
	used := int(s.segments[0].used)
	whole := contents(t, s, 1)
	for i := range used {
		if i >= headerBytes && i < headerCopy || i >= headerCopy+headerBytes && i < bodyAt {
			continue // zeros that nobody reads
		}
		for bit := range 8 {
			c := d.clone()
			c.spoil(path, func(b []byte) []byte { b[i] ^= 1 << bit; return b })
			s := c.start(t)
			got := contents(t, s, 1)
			lost := uint64(0)
			for _, u := range s.Unreadable() {
				lost += u.Count()
			}
			if lost > 1 || strings.Count(got, "=")+int(lost) != 3 || i < bodyAt && got != whole {
				t.Fatalf("byte %d bit %d: %q, unreadable %v, void %v", i, bit, got, s.Unreadable(), s.Void())
			}
			// Only the closing mark may look torn; what was behind the third is void then.
			if len(s.Void()) > 0 && (s.Void()[0].First != 4 || i < used-frameBytes) {
				t.Fatalf("byte %d bit %d: void %v", i, bit, s.Void())
			}
		}
	}
}

// Case 5: what is unreadable and in the log stays unnamed, what is not is named; the
// rest is read on. Named is for good, also if it turns up.
func TestNamedIsForGood(t *testing.T) {
	d := newSim()
	s := d.start(t)
	add(t, s, "a", "b", "c", "d")
	s.idle()
	path := d.segments()[0]
	at := bodyAt + frameBytes + int(padded(1)) // the second event
	flip := func(b []byte) []byte { b[at+frameBytes] ^= 1; return b }
	d.spoil(path, flip)
	expect(t, "a running process", contents(t, s, 1), "1=a 3=c 4=d")
	expect(t, "named", s.Name([]Span{{1, 100}}), spans{{2, 2}}) // only what is unreadable
	expect(t, "unreadable", s.Unreadable(), "[]")
	d.spoil(path, flip)
	for range 2 {
		expect(t, "turned up", contents(t, s, 1), "1=a 3=c 4=d")
		expect(t, "lost", s.Lost(), spans{{2, 2}})
		s = d.start(t)
	}
	// R3: without state.json the log's word says it.
	delete(d.names, filepath.Join(simDir, stateName))
	s = d.start(t)
	s.Learn(4, []Span{{2, 2}}, []Span{{9, 9}})
	expect(t, "learned", contents(t, s, 1), "1=a 3=c 4=d")
	expect(t, "void", s.Void(), spans{{9, 9}})
}

// Case 7: a bit of the last round, before a mark was written, is two faults: void,
// counted, and its offsets are not given again.
func TestFlipInTheLastRoundWithoutAMark(t *testing.T) {
	d := newSim()
	s := d.start(t)
	add(t, s, "a")
	add(t, s, "b", "c")
	used := s.segments[0].used
	d.spoil(d.segments()[0], func(b []byte) []byte { b[used-8] ^= 1; return b })
	s = d.start(t)
	expect(t, "contents", contents(t, s, 1), "1=a 2=b")
	expect(t, "void", s.Void(), spans{{3, boundSpan}})
	expect(t, "next", add(t, s, "d"), boundSpan+1)
	// The segment says so itself.
	delete(d.names, filepath.Join(simDir, stateName))
	s = d.start(t)
	expect(t, "contents", contents(t, s, 1), fmt.Sprintf("1=a 2=b %d=d", boundSpan+1))
	expect(t, "void without state.json", s.Void(), spans{{3, boundSpan}})
	expect(t, "unreadable", s.Unreadable(), "[]")
}

// four makes a spool of four segments with two events each.
func four(t *testing.T) *simDisk {
	d := newSim()
	for i := range 4 {
		s := d.start(t)
		add(t, s, fmt.Sprint("a", i), fmt.Sprint("b", i))
		_ = s.Close()
	}
	if n := len(d.segments()); n != 4 {
		t.Fatalf("%d segments", n)
	}
	return d
}

// Cases 9 to 13, and both header copies: what a start makes of a damaged folder.
func TestDamagedFolder(t *testing.T) {
	const all = "1=a0 2=b0 3=a1 4=b1 5=a2 6=b2 7=a3 8=b3"
	bound := uint64(7 + boundSpan)
	flipState := func(d *simDisk) {
		d.spoil(filepath.Join(simDir, stateName), func(b []byte) []byte { b[9] ^= 1; return b })
	}
	remove := func(i int) func(*simDisk) {
		return func(d *simDisk) { delete(d.names, d.segments()[i]) }
	}
	headers := func(i int) func(*simDisk) {
		return func(d *simDisk) {
			d.spoil(d.segments()[i], func(b []byte) []byte { b[20] ^= 1; b[headerCopy+20] ^= 1; return b })
		}
	}
	for name, c := range map[string]struct {
		damage     func(*simDisk)
		contents   string
		unreadable spans
		next       uint64
		aside      int
	}{
		"nothing":               {func(*simDisk) {}, all, nil, 9, 0},
		"state":                 {flipState, all, nil, 9, 0},
		"middle gone":           {remove(1), "1=a0 2=b0 5=a2 6=b2 7=a3 8=b3", spans{{3, 4}}, 9, 0},
		"newest gone":           {remove(3), "1=a0 2=b0 3=a1 4=b1 5=a2 6=b2", spans{{7, bound - 1}}, bound, 0},
		"oldest gone":           {remove(0), "3=a1 4=b1 5=a2 6=b2 7=a3 8=b3", spans{{1, 2}}, 9, 0},
		"headers of the oldest": {headers(0), "3=a1 4=b1 5=a2 6=b2 7=a3 8=b3", spans{{1, 2}}, 9, 1},
		"headers of the second": {headers(1), "1=a0 2=b0 5=a2 6=b2 7=a3 8=b3", spans{{3, 4}}, 9, 1},
		"headers of the newest": {headers(3), "1=a0 2=b0 3=a1 4=b1 5=a2 6=b2", spans{{7, bound - 1}}, bound, 1},
		"all gone": {func(d *simDisk) {
			for _, path := range d.segments() {
				delete(d.names, path)
			}
		}, "", spans{{1, bound - 1}}, bound, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := four(t)
			c.damage(d)
			for start := range 3 {
				s := d.start(t)
				expect(t, fmt.Sprint("contents at start ", start), contents(t, s, 1), c.contents)
				expect(t, "unreadable", s.Unreadable(), c.unreadable)
				expect(t, "void", s.Void(), "[]")
				expect(t, "last", s.Last(), c.next-1)
			}
			s := d.start(t)
			expect(t, "next", add(t, s, "new"), c.next)
			_ = s.Close()
			expect(t, "unreadable", spans(d.start(t).Unreadable()).within(spans{{c.next, c.next}}), "[]")
			aside, _ := d.owner.ReadDir(filepath.Join(simDir, damagedDir))
			expect(t, "put aside", len(aside), c.aside)
			if name == "newest gone" && len(d.segments()) < 4 {
				t.Error("a running number was used again")
			}
		})
	}
}

// Case 12: what was pruned is no hole, and an oldest file that is gone is one.
func TestPrunedIsNoHole(t *testing.T) {
	d := four(t)
	s := d.start(t)
	now := time.Unix(50, 0)
	s.Counted(2, now)
	if n, err := s.Prune(now, 0); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s = d.start(t)
	expect(t, "pruned", s.Pruned(), 2)
	expect(t, "unreadable", s.Unreadable(), "[]")
	delete(d.names, d.segments()[0])
	s = d.start(t)
	expect(t, "unreadable", s.Unreadable(), spans{{3, 4}})
	// R3: without state.json it is what the log has not.
	delete(d.names, filepath.Join(simDir, stateName))
	s = d.start(t)
	expect(t, "unreadable before the log was asked", s.Unreadable(), "[]")
	s.Learn(3, nil, nil)
	expect(t, "unreadable", s.Unreadable(), spans{{4, 4}})
	expect(t, "pruned", s.Pruned(), 3)
}

// A power cut may bring back a removed segment and not the one that was removed after
// it. What was removed is not missing, and the one that is back goes again.
func TestRemovedSegmentThatComesBack(t *testing.T) {
	d := four(t)
	s := d.start(t)
	path := d.segments()[0]
	back := d.names[path]
	now := time.Unix(50, 0)
	s.Counted(4, now)
	if n, err := s.Prune(now, 0); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	d.names[path] = back
	s = d.start(t)
	expect(t, "unreadable", s.Unreadable(), "[]")
	expect(t, "contents", contents(t, s, 5), "5=a2 6=b2 7=a3 8=b3")
	if n, err := s.Prune(now, time.Hour); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

// Case 13: the last file cut to any length.
func TestCutToEveryLength(t *testing.T) {
	d := newSim()
	s := d.start(t)
	add(t, s, "first", "second payload")
	add(t, s, "the third one")
	_ = s.Close()
	path := d.segments()[0]
	size := len(d.names[path].data)
	for n := range size {
		if n > headerBytes && n < bodyAt-1 && n%500 > 0 {
			continue
		}
		c := d.clone()
		c.spoil(path, func(b []byte) []byte { return b[:n] })
		s := c.start(t)
		events := strings.Count(contents(t, s, 1), "=")
		expect(t, fmt.Sprint("unreadable of ", n, " bytes"), s.Unreadable(), span(uint64(events+1), boundSpan+1))
		expect(t, "next", add(t, s, "new"), boundSpan+1)
	}
}

// Cases 14 and 16: a round that fails is answered with an error, ends its segment for
// writing, and costs nothing that landed before; sent again it is new.
func TestFailedRound(t *testing.T) {
	for name, fail := range map[string]func(*simDisk){
		"sync":  func(d *simDisk) { d.failSync = 1 },
		"write": func(d *simDisk) { d.failWrite = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			d := newSim()
			s := d.start(t)
			add(t, s, "a")
			fail(d)
			if _, err := s.Append(payloadsOf("b", "c")); err == nil {
				t.Fatal("a failed round was acknowledged")
			}
			expect(t, "visible", contents(t, s, 1), "1=a")
			expect(t, "again", add(t, s, "b", "c"), 2)
			expect(t, "segments", len(d.segments()), 2)
			expect(t, "visible", contents(t, s, 1), "1=a 2=b 3=c")
			d.powerCut()
			s = d.start(t)
			expect(t, "after a power cut", contents(t, s, 1), "1=a 2=b 3=c")
			expect(t, "unreadable", s.Unreadable(), "[]")
		})
	}
}

// Case 15: after a failed sync the pages read as written and are on no disk. What a
// start believes of them outlives a power cut.
func TestFailedSyncThenKillThenPowerCut(t *testing.T) {
	for seed := range uint64(40) {
		d := newDisk(newWorld(seed, "").r)
		s := d.start(t)
		add(t, s, "a")
		d.failSync = 1
		if _, err := s.Append(payloadsOf("bbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccccc")); err == nil {
			t.Fatal("a failed round was acknowledged")
		}
		s = d.start(t) // killed
		visible := contents(t, s, 1)
		expect(t, "whole frames are kept", strings.Count(visible, "="), 3)
		d.powerCut()
		s = d.start(t)
		expect(t, "after a power cut", contents(t, s, 1), visible)
		expect(t, "next", add(t, s, "d"), 4)
	}
}

// Case 17: a segment that cannot be made fails its round, and the next round tries again.
func TestFailedCreation(t *testing.T) {
	for name, fail := range map[string]func(*simDisk){
		"sync of the zeros":  func(d *simDisk) { d.failSync = 1 },
		"write of the zeros": func(d *simDisk) { d.failWrite = 1 },
		"sync of the folder": func(d *simDisk) { d.failDir = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			d := newSim()
			s := d.start(t)
			fail(d)
			if _, err := s.Append(payloadsOf("a")); err == nil {
				t.Fatal("acknowledged")
			}
			expect(t, "names left", len(d.names), 0)
			expect(t, "again", add(t, s, "a"), 1)
			d.powerCut()
			expect(t, "after a power cut", contents(t, d.start(t), 1), "1=a")
		})
	}
}

// Case 25, and the whole table of crashes: the process is killed at each operation on
// the disk, with and without a power cut. What was acknowledged is there.
func TestKilledAtEveryOperation(t *testing.T) {
	for power := range 12 { // 0: no power cut; else another subset survives it
		for left := 1; ; left++ {
			d := newDisk(newWorld(uint64(power), "").r)
			p := d.process()
			p.left = left
			acked := killable(t, p)
			if power > 0 {
				d.powerCut()
			}
			s := d.start(t)
			got := contents(t, s, max(1, s.Pruned()+1))
			for offset, payload := range acked {
				if offset > s.Pruned() && !strings.Contains(" "+got+" ", fmt.Sprintf(" %d=%s ", offset, payload)) {
					t.Fatalf("killed at %d, power cut %d: offset %d is not in %q", left, power, offset, got)
				}
			}
			if len(s.Unreadable()) > 0 || len(s.Lost()) > 0 {
				t.Fatalf("killed at %d: unreadable %v, lost %v", left, s.Unreadable(), s.Lost())
			}
			if tmp := slices.ContainsFunc(slices.Collect(maps.Keys(d.names)), func(n string) bool { return strings.HasSuffix(n, tmpSuffix) }); tmp && len(d.segments()) == 0 {
				t.Fatalf("killed at %d: temporary files are left", left)
			}
			if !p.dead {
				if left < 40 {
					t.Fatalf("only %d operations", left)
				}
				break
			}
		}
	}
}

// killable does something of everything until the process is killed, and returns what
// was acknowledged.
func killable(t *testing.T, p *simFS) map[uint64]string {
	acked := map[uint64]string{}
	s, err := Open(simDir, simOptions(p))
	if err != nil {
		return acked
	}
	round := func(payloads ...string) {
		if first, err := s.Append(payloadsOf(payloads...)); err == nil {
			for i, c := range payloads {
				acked[first+uint64(i)] = c
			}
		}
	}
	round("a", "b")
	s.idle()
	round(strings.Repeat("c", 300))
	round(strings.Repeat("d", 500), "e") // needs a new segment
	st, err := s.Stage()
	if err != nil {
		return acked
	}
	_ = st.Append([]byte("f"))
	if first, _, err := st.Commit(); err == nil {
		acked[first] = "f"
	}
	round("g")
	now := time.Unix(9, 0)
	s.Counted(3, now)
	if _, err := s.Prune(now, 0); err != nil && !p.dead {
		t.Fatal(err)
	}
	round("h")
	_ = s.Close()
	return acked
}

// A kill leaves a segment whose folder was not synced: it is not believed before it is.
func TestNameThatNoSyncCovered(t *testing.T) {
	for _, step := range []string{"stage", "tail"} {
		for seed := range uint64(30) {
			d := newDisk(newWorld(seed, "").r)
			s := d.start(t)
			add(t, s, "a")
			switch step {
			case "stage":
				st, err := s.Stage()
				if err != nil {
					t.Fatal(err)
				}
				_ = st.Append([]byte("b"))
				d.owner.left = 9 // killed at the sync of the folder
				_, _, err = st.Commit()
				if !errors.Is(err, errKilled) || len(d.segments()) != 2 {
					t.Fatal(err, d.segments())
				}
			case "tail":
				d.failSync = 1
				_, _ = s.Append(payloadsOf(strings.Repeat("b", 90)))
				d.owner.kill()
				for left := 1; len(d.segments()) < 2; left++ { // killed earlier each time but the last
					p := d.process()
					p.left = left
					_, _ = Open(simDir, simOptions(p))
					if !p.dead {
						t.Fatal("not killed")
					}
				}
			}
			d.failDir = 1
			s = d.start(t) // which cannot sync the folder at first
			expect(t, "before the sync", contents(t, s, 1), "1=a")
			s.idle()
			visible := contents(t, s, 1)
			expect(t, "after it", strings.Count(visible, "="), 2)
			d.powerCut()
			expect(t, "after a power cut", contents(t, d.start(t), 1), visible)
		}
	}
}

// Cases 24 and 30: retention counts from the count, and a new life of the engine
// forgets it.
func TestRetentionCountsFromTheCount(t *testing.T) {
	s := open(t, t.TempDir(), each)
	for range 3 {
		add(t, s, "a")
	}
	at := func(hours int) time.Time { return time.Unix(0, 0).Add(time.Duration(hours) * time.Hour) }
	prune := func(hours, want int) {
		t.Helper()
		n, err := s.Prune(at(hours), 2*time.Hour)
		if err != nil || n != want {
			t.Fatalf("hour %d: removed %d, want %d, %v", hours, n, want, err)
		}
	}
	prune(1000, 0) // however old
	s.Counted(1, at(1000))
	prune(1001, 0)
	s.Counted(2, at(1001)) // which is no new count of the first
	s.Recount()
	prune(1003, 0)
	s.Counted(1, at(1004))
	prune(1005, 0)
	prune(1006, 1)
	s.Counted(3, at(1006))
	prune(1008, 1)
	prune(9000, 0) // the last stays
}

// One of which something could not be read is put aside, not removed.
func TestDamagedSegmentIsPutAside(t *testing.T) {
	d := four(t)
	s := d.start(t)
	path := d.segments()[0]
	d.spoil(path, func(b []byte) []byte { b[bodyAt+2*frameBytes] ^= 1; return b })
	expect(t, "contents", contents(t, s, 1), "2=b0 3=a1 4=b1 5=a2 6=b2 7=a3 8=b3")
	now := time.Unix(9, 0)
	s.Counted(8, now)
	if n, err := s.Prune(now, 0); n != 0 || err != nil {
		t.Fatal("removed while something before it is unreadable:", n, err)
	}
	s.Name(s.Unreadable())
	if n, err := s.Prune(now, 0); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if d.names[filepath.Join(simDir, damagedDir, filepath.Base(path))] == nil || len(d.segments()) != 1 {
		t.Fatal(slices.Collect(maps.Keys(d.names)))
	}
}

// R10 and W2: what a failed round left behind is not taken for what the missing file
// held under the same offsets.
func TestMissingBehindAFailedRound(t *testing.T) {
	d := newSim()
	s := d.start(t)
	add(t, s, "a")
	d.failSync = 1
	if _, err := s.Append(payloadsOf("failed")); err == nil {
		t.Fatal("acknowledged")
	}
	add(t, s, "b")
	_ = s.Close()
	s = d.start(t)
	add(t, s, "c")
	_ = s.Close()
	expect(t, "contents", contents(t, d.start(t), 1), "1=a 2=b 3=c")
	delete(d.names, d.segments()[1])
	s = d.start(t)
	expect(t, "unreadable", s.Unreadable(), spans{{2, 2}})
	expect(t, "contents", contents(t, s, 1), "1=a 3=c")
	expect(t, "unreadable", s.Unreadable(), spans{{2, 2}})
}

// A file that is removed under a running spool is damage like any other.
func TestFileRemovedUnderARunningSpool(t *testing.T) {
	d := four(t)
	s := d.start(t)
	delete(d.names, d.segments()[1])
	expect(t, "contents", contents(t, s, 1), "1=a0 2=b0 5=a2 6=b2 7=a3 8=b3")
	expect(t, "named", s.Name(s.Unreadable()), spans{{3, 4}})
	now := time.Unix(9, 0)
	s.Counted(8, now)
	if n, err := s.Prune(now, 0); n != 3 || err != nil {
		t.Fatal(n, err)
	}
}

// Case 27: at the quota, or with little free, nothing new is taken and nothing old is
// touched; removing ends it by itself.
func TestQuota(t *testing.T) {
	d := newSim()
	o := simOptions(d.process())
	o.Quota = 4 * o.SegmentBytes
	s := open(t, simDir, o)
	taken := 0
	var err error
	for err == nil && taken < 100 {
		if _, err = s.Append(payloadsOf(strings.Repeat("x", 300))); err == nil {
			taken++
		}
	}
	if !errors.Is(err, ErrFull) || taken < 4 {
		t.Fatal(taken, err)
	}
	if used, _ := s.Bytes(); used > o.Quota {
		t.Fatalf("%d bytes of %d are used", used, o.Quota)
	}
	if st, err := s.Stage(); err == nil {
		for i := 0; err == nil && i < 100; i++ {
			err = st.Append(make([]byte, 300_000))
		}
		if st.Abort(); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	expect(t, "readable", strings.Count(contents(t, s, 1), "="), taken)
	now := time.Unix(9, 0)
	s.Counted(s.Last(), now)
	if n, err := s.Prune(now, 0); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	add(t, s, "again")
	d.free = 2*o.SegmentBytes - 1
	err = nil
	for i := 0; err == nil && i < 100; i++ {
		_, err = s.Append(payloadsOf(strings.Repeat("x", 300)))
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	d.free = 1 << 40
	add(t, s, "again")
	// A start at the quota writes what it must.
	o.Quota = 1
	d.owner.kill()
	o.FS = d.process()
	s = open(t, simDir, o)
	expect(t, "pending", s.pending == nil, true)
}

// On a full disk nothing can be written; reading, naming and removing go on.
func TestNothingNeedsTheDiskToForward(t *testing.T) {
	d := four(t)
	s := d.start(t)
	d.failWrite = 1 << 30
	if _, err := s.Append(payloadsOf("a")); !errors.Is(err, errNoSpc) {
		t.Fatal(err)
	}
	expect(t, "events", strings.Count(contents(t, s, 1), "="), 8)
	now := time.Unix(9, 0)
	s.Counted(8, now)
	if n, err := s.Prune(now, 0); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	d.failWrite = 0
	expect(t, "next", add(t, s, "a"), 9)
	expect(t, "unreadable", d.start(t).Unreadable(), "[]")
}

// F6: the folder is older than the log. What was accepted since goes above both; what
// is between is asked of the log.
func TestRaise(t *testing.T) {
	for _, above := range []uint64{10, 9, 20, 1 << 30} {
		d := four(t) // 1 to 8
		s := d.start(t)
		add(t, s, "n1", "n2")
		add(t, s, strings.Repeat("n3", 400)) // 9 to 11, in two segments
		gap, err := s.Raise(above)
		if err != nil {
			t.Fatal(err)
		}
		from := max(above+1, 12)
		expect(t, "gap", gap, Span{9, from - 1})
		want := fmt.Sprintf("8=b3 %d=n1 %d=n2 %d=%s", from, from+1, from+2, strings.Repeat("n3", 400))
		for range 3 {
			expect(t, "contents", contents(t, s, 8), want)
			expect(t, "unreadable", s.Unreadable(), spans{gap})
			expect(t, "last", s.Last(), from+2)
			s = d.start(t)
		}
		expect(t, "next", add(t, s, "n4"), from+3)
		if gap, err := s.Raise(s.held); err != nil || gap != (Span{}) {
			t.Fatal(gap, err)
		}
		_ = contents(t, s, 8)
		s.Counted(s.Last(), time.Unix(9, 0))
		expect(t, "named", s.Name(s.Unreadable()), spans{gap})
		if n, err := s.Prune(time.Unix(9, 0), 0); n != 7 || err != nil {
			t.Fatal(n, err)
		}
		_ = contents(t, s, s.Pruned()+1)
		expect(t, "unreadable", s.Unreadable(), "[]")
		aside, _ := d.owner.ReadDir(filepath.Join(simDir, damagedDir))
		expect(t, "put aside", len(aside), 0)
	}
	s := four(t).start(t)
	if gap, err := s.Raise(8); err != nil || gap != (Span{}) {
		t.Fatal("raised without need:", gap, err)
	}
	if _, err := s.Raise(1 << 40); err == nil {
		t.Fatal("raised beyond what a segment can say")
	}
}

// The end of an import is never torn: all of it was on disk before it got its name.
func TestDamagedEndOfAnImport(t *testing.T) {
	d := newSim()
	s := d.start(t)
	st, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a", "b", "c"} {
		_ = st.Append([]byte(p))
	}
	if _, _, err := st.Commit(); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"spoiled": func(b []byte) []byte { b[len(b)-1] ^= 1; b[len(b)-frameBytes-8] ^= 1; return b },
		"zeroed":  func(b []byte) []byte { clear(b[len(b)-frameBytes-int(padded(1)):]); return b },
		"cut":     func(b []byte) []byte { return b[:len(b)-frameBytes-8] },
	} {
		c := d.clone()
		c.spoil(c.segments()[0], damage)
		s := c.start(t)
		expect(t, name+": contents", contents(t, s, 1), "1=a 2=b")
		expect(t, name+": unreadable", s.Unreadable(), spans{{3, 3}})
		expect(t, name+": void", s.Void(), "[]")
		expect(t, name+": next", add(t, s, "d"), 4)
	}
}

// A folder of another version is refused in a line and left as it is.
func TestOtherVersion(t *testing.T) {
	d := newSim()
	_ = d.start(t).Close()
	for _, version := range []byte{1, 3} {
		path := filepath.Join(simDir, "00000000000000000001.seg")
		old := append([]byte("PFSPOOL"), version, 0, 0, 0, 0, 1)
		d.names[path] = &simFile{data: old, disk: old}
		_, err := Open(simDir, simOptions(d.process()))
		if !errors.Is(err, ErrVersion) || strings.Contains(err.Error(), "\n") {
			t.Fatal(err)
		}
		expect(t, "files", slices.Collect(maps.Keys(d.names)), []string{path})
	}
}
