package spool

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// The property test: random histories of appends, imports, failing disks, kills, power
// cuts, engine restarts and at most one damage of one kind. After each everything is
// started again and brought to rest, and what was promised is checked. Times are
// ticks of one second.
const (
	simRetention = 5 * time.Second
	simWriteback = 3 // ticks after which the engine's rows outlive a power cut
)

type row struct {
	content string
	at      int
}

type said struct { // a row of progress
	offset     uint64
	lost, void []Span
	at         int
}

type ack struct {
	content string
	at      int
}

type naming struct {
	spans []Span
	at    int
}

// world is one spool with a node, as far as it matters here, and an engine around it.
type world struct {
	r       *rand.Rand
	kind    string
	disk    *simDisk
	p       *simFS
	s       *Spool // nil: down
	now     int
	clock   int
	damaged bool
	healing bool
	calm    float64

	next    int
	pending []string
	sent    map[string]bool
	seen    map[uint64]string   // what was ever visible, by offset
	offsets map[string][]uint64 // the reverse
	known   map[string]uint64   // the node's table of duplicates
	acked   []ack
	named   []naming

	log      map[uint64]row
	progress []said
	token    int
	held     int // the token that the node counts under; 0: none
	verified uint64

	stat     map[string]int
	problems []string
}

func newWorld(seed uint64, kind string) *world {
	r := rand.New(rand.NewPCG(seed, 7))
	return &world{
		r: r, kind: kind, disk: newDisk(r), calm: []float64{.15, .5, 1}[r.IntN(3)],
		sent: map[string]bool{}, seen: map[uint64]string{}, offsets: map[string][]uint64{}, known: map[string]uint64{},
		log: map[uint64]row{}, token: 1, stat: map[string]int{},
	}
}

func (w *world) bad(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if !slices.Contains(w.problems, what) {
		w.problems = append(w.problems, what)
	}
}

func (w *world) tick() int { w.clock++; return w.clock }

func (w *world) visible(offset uint64, content string) {
	if old, ok := w.seen[offset]; ok && old != content {
		w.bad("an offset has two contents")
	}
	if !w.sent[content] {
		w.bad("an event that nobody sent")
	}
	w.seen[offset] = content
	if !slices.Contains(w.offsets[content], offset) {
		w.offsets[content] = append(w.offsets[content], offset)
	}
}

// start opens the spool, possibly to be killed in it.
func (w *world) start() {
	w.p = w.disk.process()
	if !w.healing && w.r.IntN(4) == 0 {
		w.p.left = 1 + w.r.IntN(12)
	}
	s, err := Open(simDir, Options{FS: w.p, SegmentBytes: bodyAt + 480, hurried: bodyAt + 300, manual: true, random: w.r.Uint64})
	if w.p.dead {
		return
	}
	if err != nil {
		w.bad("does not start: %v", err)
		return
	}
	if s.pending != nil {
		w.stat["start could not write"]++
	}
	w.s, w.held, w.verified = s, 0, 0
	w.known = map[string]uint64{}
	w.remember()
	off, lost := w.word()
	for o, x := range w.log {
		if o <= off && !lost.has(o) {
			w.known[x.content] = o
		}
	}
}

// remember reads all that is visible.
func (w *world) remember() {
	err := w.s.Read(1+w.s.Pruned(), func(o uint64, payload []byte) error {
		w.visible(o, string(payload))
		w.known[string(payload)] = o
		return nil
	})
	if err != nil {
		w.bad("reading: %v", err)
	}
}

func (w *world) stop(power bool) {
	if w.p != nil {
		w.p.kill()
	}
	w.s = nil
	if power {
		w.disk.powerCut()
		w.stat["power cuts"]++
	} else {
		w.stat["kills"]++
	}
}

// died notices that the process was killed in what it did.
func (w *world) died() bool {
	if w.p.dead && w.s != nil {
		w.s = nil
		w.stat["kills between writes"]++
	}
	return w.p.dead
}

func (w *world) request() {
	if w.r.Float64() < .6 && w.next < 90 {
		for range 1 + w.r.IntN(3) {
			c := fmt.Sprintf("e%d%s", w.next, "xxxxxxxxxxxx"[:w.r.IntN(12)])
			if w.s != nil && w.r.IntN(10) == 0 { // a payload that is itself a frame
				f := frame{number: uint32(w.r.IntN(9)), payload: []byte("FORGED")}
				c = string(appendFrame([]byte(fmt.Sprintf("%08d", w.next)), 0, 0, f))
			}
			w.next++
			w.pending, w.sent[c] = append(w.pending, c), true
		}
	}
	if len(w.pending) == 0 || w.s == nil {
		return
	}
	i := w.r.IntN(len(w.pending))
	events := slices.Clone(w.pending[i:min(len(w.pending), i+1+w.r.IntN(3))])
	if len(w.acked) > 0 && w.r.IntN(5) == 0 {
		if c := w.acked[w.r.IntN(len(w.acked))].content; !slices.Contains(events, c) {
			events = append(events, c)
		}
	}
	w.submit(events)
}

func (w *world) submit(events []string) {
	var fresh []string
	for _, c := range events {
		if _, ok := w.known[c]; !ok {
			fresh = append(fresh, c)
		}
	}
	first, err := w.write(fresh)
	if w.died() {
		return
	}
	if err != nil {
		w.stat["rounds failed"]++
		return
	}
	w.stat["rounds"]++
	for i, c := range fresh {
		w.known[c] = first + uint64(i)
		w.visible(w.known[c], c)
	}
	for _, c := range events {
		w.acked = append(w.acked, ack{c, w.tick()})
		w.pending = slices.DeleteFunc(w.pending, func(x string) bool { return x == c })
		w.visible(w.known[c], c)
	}
}

// write spools new events by a round or, now and then, by an import.
func (w *world) write(fresh []string) (first uint64, err error) {
	if w.r.IntN(12) > 0 {
		payloads := make([][]byte, len(fresh))
		for i, c := range fresh {
			payloads[i] = []byte(c)
		}
		return w.s.Append(payloads)
	}
	w.stat["stages"]++
	st, err := w.s.Stage()
	if err != nil {
		return 0, err
	}
	for _, c := range fresh {
		if err := st.Append([]byte(c)); err != nil {
			st.Abort()
			return 0, err
		}
	}
	first, _, err = st.Commit()
	return first, err
}

func (w *world) word() (uint64, spans) {
	if len(w.progress) == 0 {
		return 0, nil
	}
	last := w.progress[len(w.progress)-1]
	return last.offset, last.lost
}

// logged returns the offsets that the log holds.
func (w *world) logged() (have spans) {
	for _, o := range slices.Sorted(maps.Keys(w.log)) {
		have = append(have, Span{o, o})
	}
	return spans(nil).add(have...)
}

// forward is one batch, counted, named and published, and then a removal.
func (w *world) forward() {
	defer w.died()
	s := w.s
	if token := w.token; token != w.held {
		if w.held == 0 {
			off, lost := w.word()
			var void []Span
			if len(w.progress) > 0 {
				void = w.progress[len(w.progress)-1].void
			}
			s.Learn(off, lost, void)
		}
		s.Recount()
		w.held, w.verified = token, s.Pruned()
	}
	token := w.token
	end := s.Last()
	upTo, rows := end, 0
	batch := map[uint64]string{}
	err := s.Read(w.verified+1, func(o uint64, payload []byte) error {
		if o > end { // the tail that a start could not write came in meanwhile
			return ErrStop
		}
		w.visible(o, string(payload))
		batch[o] = string(payload)
		if rows++; rows == 30 {
			upTo = o
			return ErrStop
		}
		return nil
	})
	if err != nil {
		w.bad("forwarding reads: %v", err)
		return
	}
	if w.healing || w.r.Float64() > .02 {
		for o, c := range batch {
			if _, ok := w.log[o]; !ok {
				w.log[o] = row{c, w.now}
			}
		}
	}
	if w.r.IntN(15) == 0 && !w.healing {
		w.engine(w.r.IntN(2) == 0)
	}
	if w.token != token {
		return
	}
	for o := range batch {
		if _, ok := w.log[o]; !ok {
			return
		}
	}
	holes := spans(s.Unreadable()).within(span(1, upTo+1)).without(w.logged())
	if named := s.Name(holes); len(named) > 0 {
		w.named = append(w.named, naming{named, w.tick()})
		w.stat["offsets named"]++
		for c, o := range w.known {
			if spans(named).has(o) {
				delete(w.known, c)
			}
		}
	}
	if w.p.dead {
		return
	}
	// An unreadable offset that the log has needs no file any more: it is counted.
	w.verified = upTo
	s.Counted(upTo, time.Unix(int64(w.now), 0))
	if off, _ := w.word(); upTo >= off {
		w.progress = append(w.progress, said{upTo, s.Lost(), s.Void(), w.now})
	}
	if w.token == w.held {
		n, err := s.Prune(time.Unix(int64(w.now), 0), simRetention)
		w.stat["segments pruned"] += n
		if err != nil && !w.p.dead {
			w.bad("prune: %v", err)
		}
	}
}

func (w *world) engine(power bool) {
	w.token++
	w.stat["engine restarts"]++
	if !power {
		return
	}
	for _, o := range slices.Sorted(maps.Keys(w.log)) {
		if w.log[o].at+simWriteback > w.now && w.r.IntN(2) == 0 {
			delete(w.log, o)
		}
	}
	for len(w.progress) > 0 && w.progress[len(w.progress)-1].at+simWriteback > w.now && w.r.IntN(2) == 0 {
		w.progress = w.progress[:len(w.progress)-1]
	}
}

// damage does one thing to one file.
func (w *world) damage() {
	list := w.disk.segments()
	if w.damaged || len(list) == 0 {
		return
	}
	path := list[w.r.IntN(len(list))]
	if w.r.IntN(2) == 0 {
		path = list[len(list)-1]
	}
	statePath := filepath.Join(simDir, stateName)
	st, known, _ := readState(w.disk.process(), simDir)
	number, _ := segmentNumber(filepath.Base(list[len(list)-1]))
	switch w.kind {
	case "flip":
		if known && w.r.IntN(20) == 0 {
			path = statePath
		}
		i := w.used(path)
		bit := byte(1) << w.r.IntN(8)
		w.disk.spoil(path, func(b []byte) []byte {
			if i < len(b) {
				b[i] ^= bit
			}
			return b
		})
	case "sector":
		at := w.used(path) / simSector * simSector
		w.disk.spoil(path, func(b []byte) []byte {
			for i := at; i < min(at+simSector, len(b)); i++ {
				b[i] = 0xEE
			}
			return b
		})
	case "missing": // one fault: the witness is up to date, and nobody has the folder open
		if w.s != nil || len(list) < 2 || !known || st.Segment != number {
			return
		}
		delete(w.disk.names, path)
		delete(w.disk.durable, path)
	case "short":
		if w.s != nil {
			return
		}
		k := bodyAt + w.r.IntN(len(w.disk.names[path].data)-bodyAt)
		w.disk.spoil(path, func(b []byte) []byte { return b[:min(k, len(b))] })
	default:
		return
	}
	w.damaged = true
	w.stat["damages"]++
}

// used returns the place of a byte that is not zero, more often a late one.
func (w *world) used(path string) int {
	var used []int
	for i, c := range w.disk.names[path].data {
		if c != 0 {
			used = append(used, i)
		}
	}
	if len(used) == 0 {
		return 0
	}
	if w.r.IntN(5) < 3 {
		used = used[max(0, len(used)-120):]
	}
	return used[w.r.IntN(len(used))]
}

func (w *world) run(steps int) {
	load := []float64{.2, .35, .5}[w.r.IntN(3)]
	for i := range steps {
		x := w.r.Float64()
		switch {
		case w.s == nil && x < .5:
			w.start()
		case x < load:
			w.request()
		case x < .75 && w.s != nil:
			w.forward()
		case x < .80 && w.s != nil:
			w.s.idle()
			w.died()
		case x < .88:
			w.now++
		case w.r.Float64() > w.calm:
		case x < .905:
			w.fault()
		case x < .925 && w.p != nil:
			w.stop(false)
		case x < .945 && w.p != nil:
			w.stop(true)
		case x < .955 && w.s != nil:
			w.p.left = 1 + w.r.IntN(12)
		case x < .965 && w.s != nil:
			_ = w.s.Close()
			w.s = nil
		case x < .975:
			w.engine(w.r.IntN(5) < 3)
		case w.kind != "crash" && i > steps/5:
			if w.s != nil && (w.kind == "missing" || w.kind == "short") {
				w.stop(w.r.IntN(3) == 0)
			}
			w.damage()
		}
	}
	w.heal()
}

func (w *world) fault() {
	w.stat["disk errors"]++
	switch w.r.IntN(4) {
	case 0, 1:
		w.disk.failSync++
	case 2:
		w.disk.failWrite++
	case 3:
		w.disk.failDir++
	}
}

// heal starts everything again and lets it come to rest.
func (w *world) heal() {
	w.healing = true
	if w.p != nil && w.r.IntN(2) == 0 {
		w.stop(w.r.IntN(3) > 0)
	}
	if w.r.IntN(2) == 0 {
		w.engine(true)
	}
	w.disk.failSync, w.disk.failWrite, w.disk.failDir = 0, 0, 0
	for range 60 {
		if w.s == nil {
			w.start()
		}
		if w.s == nil || len(w.problems) > 0 {
			w.bad("did not come to rest")
			return
		}
		w.p.left = -1
		w.s.idle()
		if len(w.pending) > 0 {
			w.submit(slices.Clone(w.pending[:min(3, len(w.pending))]))
		}
		w.forward()
		w.now++
		if off, _ := w.word(); len(w.pending) == 0 && off == w.s.Last() && w.verified == off {
			break
		}
	}
	w.check()
}

func (w *world) check() {
	if len(w.pending) > 0 {
		w.bad("an event is never taken")
		return
	}
	off, lost := w.word()
	void := spans(w.s.Void())
	if off != w.s.Last() {
		w.bad("forwarding stands")
	}
	if len(span(1, off+1).without(w.logged()).without(lost).without(void)) > 0 {
		w.bad("an offset is neither in the log nor named")
	}
	if len(lost.without(void)) > 0 && !w.damaged {
		w.bad("a hole is named without damage")
	}
	counted := map[string]bool{}
	for o, x := range w.log {
		if o <= off && !lost.has(o) && !void.has(o) {
			counted[x.content] = true
		}
	}
	gone := map[string]bool{}
	for _, a := range w.acked {
		if counted[a.content] {
			continue
		}
		last, hidden := 0, false
		for _, o := range w.offsets[a.content] {
			hidden = hidden || void.has(o)
			for _, n := range w.named {
				if spans(n.spans).has(o) {
					last = max(last, n.at)
				}
			}
		}
		switch {
		case !w.damaged:
			w.bad("an acknowledged event is lost")
		case hidden: // two faults in the last round: counted as void
			w.stat["acknowledged and void"]++
			continue
		case last == 0:
			w.bad("an acknowledged event is lost and not named")
		case a.at > last:
			w.bad("acknowledged after its place was named")
		}
		gone[a.content] = true
	}
	// A frame takes at least half a sector, so a sector touches three at most.
	if most := map[string]int{"flip": 1, "sector": 3}[w.kind]; most > 0 && len(gone) > most {
		w.bad("more is lost than was damaged")
	}
	w.stat["events lost and named"] += len(gone)
}

// TestHistories runs many histories of each kind of damage; PFTEST_SPOOL_HISTORIES
// says how many of each.
func TestHistories(t *testing.T) {
	count := 60
	if text := os.Getenv("PFTEST_SPOOL_HISTORIES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		count = n
	}
	total := map[string]int{}
	for _, kind := range []string{"crash", "flip", "sector", "missing", "short"} {
		for seed := range count {
			w := newWorld(uint64(seed), kind)
			w.run(300)
			for _, p := range w.problems {
				t.Errorf("%s, seed %d: %s", kind, seed, p)
			}
			for name, n := range w.stat {
				total[name] += n
			}
			if t.Failed() {
				return
			}
		}
	}
	// What a history does not do, it does not show.
	for _, name := range []string{"rounds", "rounds failed", "stages", "kills", "kills between writes", "power cuts", "engine restarts", "disk errors", "damages", "segments pruned", "offsets named", "events lost and named"} {
		if total[name] == 0 && count >= 60 {
			t.Errorf("no history had %s", name)
		}
	}
	t.Log(total)
}
