package rules

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
)

// Placement is a run and the place it takes.
type Placement struct {
	Place int
	Run   *Run
	// Tied says that another claim could not be told apart from it at some step,
	// whether the tie was then shared or broken.
	Tied bool
	// Drawn says that a lottery chose among several, for this place or one before it:
	// what the place is depends on a seed.
	Drawn bool
	// Until says for how long others may still change the placement: not once every
	// watermark has passed it. It is the greatest latest end of all candidates of the
	// places before and, where the place is shared, of the placement itself; where it is
	// not, of all candidates of its own place.
	Until Instant
}

// Draw is a lottery that anyone can compute again: lots are drawn by the SHA-256 of
// the seed, the rule, the scope, the window and the name. The seed's own digest
// stands in the ledger in an earlier cut than any that it decides, so nobody can
// choose it afterwards. Each place of each contest has a seed of its own: one that
// is shown says nothing of any other.
type Draw struct {
	contest Contest
	secret  string
	single  bool // one seed decides every place
}

// Seed returns the seed of a place.
func (d Draw) Seed(place int) []byte {
	mac := hmac.New(sha256.New, []byte(d.secret))
	for _, s := range []string{d.contest.Rule.ID, string(d.contest.Scope)} {
		hashText(mac, s)
	}
	for _, n := range []uint64{uint64(d.contest.Window.Opens), uint64(d.contest.Window.Closes), uint64(place)} {
		hashNumber(mac, n)
	}
	return mac.Sum(nil)
}

// lot returns the digest that a name draws for a place. The lowest wins.
func (d Draw) lot(place int, name string) []byte {
	if d.single {
		place = 1
	}
	h := sha256.New()
	for _, s := range []string{string(d.Seed(place)), d.contest.Rule.ID, string(d.contest.Scope), name} {
		hashText(h, s)
	}
	hashNumber(h, uint64(d.contest.Window.Opens))
	hashNumber(h, uint64(d.contest.Window.Closes))
	return h.Sum(nil)
}

// commitment returns the digests of the seeds of so many places.
func (d Draw) commitment(places int) *Commitment {
	c := &Commitment{Digests: make([]string, places)}
	for i := range c.Digests {
		digest := sha256.Sum256(d.Seed(i + 1))
		c.Digests[i] = hex.EncodeToString(digest[:])
	}
	return c
}

// draw returns the contest's lottery.
func (c Contest) draw(secret string) Draw { return Draw{contest: c, secret: secret} }

// Place gives places to runs of distinct subjects that reached n, until so many are
// taken or nobody is left. At each step the candidates are the claims that no
// remaining one certainly precedes. (Contradicting clock estimates may make a circle in
// which each is preceded by another; then the candidates are the claims that overlap
// the one that ends first.) Who takes the place depends on tie. TieShare: all of them,
// and the next place follows after them (1, 1, 3). TieEarliest: the one with the
// earliest point estimate, then the subject that sorts first. TieDraw: the one that the
// place's seed draws. The next step is without those who took it. The result is by
// place, then point estimate, then subject, and does not depend on the order of runs.
func Place(runs []*Run, n Amount, places int, tie string, draw Draw) []Placement {
	return place(runs, n, places, tie, draw, places)
}

// place is Place where only the first so many places are drawn for.
func place(runs []*Run, n Amount, places int, tie string, draw Draw, drawnFor int) []Placement {
	placed, _ := placeUntil(runs, n, places, tie, draw, drawnFor)
	return placed
}

// placeUntil also returns the greatest latest end of all candidates of these places. A
// claim that begins later than that by more than the slack of the clocks (see slack)
// can neither take one of these places nor change who does.
func placeUntil(runs []*Run, n Amount, places int, tie string, draw Draw, drawnFor int) ([]Placement, Instant) {
	f := newField(runs, n)
	var placed []Placement
	lastEnd := -Never // the greatest latest end of all candidates so far
	drawn := false
	for len(placed) < places {
		front := f.candidates()
		if len(front) == 0 {
			break
		}
		place := len(placed) + 1
		taken := front
		switch {
		case tie == TieEarliest || tie == TieDraw && place > drawnFor:
			taken = front[:1]
		case tie == TieDraw:
			drawn = drawn || len(front) > 1
			lots := make([][]byte, len(front))
			for i, x := range front {
				lots[i] = draw.lot(place, cmp.Or(x.lot, x.Subject))
			}
			first := 0
			for i := range lots {
				if cmp.Or(bytes.Compare(lots[i], lots[first]), cmp.Compare(front[i].Subject, front[first].Subject)) < 0 {
					first = i
				}
			}
			taken = front[first : first+1]
		}
		withThese := max(lastEnd, f.greatest)
		for _, x := range taken {
			p := Placement{Place: place, Run: x.Run, Tied: x.tied, Drawn: drawn, Until: withThese}
			if tie == TieShare {
				p.Until = max(lastEnd, x.Latest)
			}
			placed = append(placed, p)
		}
		f.remove(slices.Clone(taken))
		lastEnd = withThese
	}
	return placed, lastEnd
}

// String is for tests that fail.
func (p Placement) String() string { return fmt.Sprintf("%d. %s", p.Place, p.Run.Subject) }

// field is a set of runs from which those in front, whom no other certainly precedes,
// are taken step by step. Comparing each with each would be quadratic, so it compares
// only what can matter. A claim that begins after another has ended is behind it without
// a comparison. Any other run that is not in front remembers one run that precedes it,
// and looks for another only once that one is taken. So a step costs log n where the n
// claims overlap on different servers, or are all of one server. Claims of subjects who
// play on several servers are compared with each other one by one.
type field struct {
	n        Amount
	slack    Instant
	byStart  []*entrant // by earliest
	byEnd    []*entrant // by latest; those taken in front are skipped
	next     int        // of byStart: not yet admitted
	front    []*entrant // in the order of compareClaims
	circle   bool       // those in front precede each other
	alone    []*entrant // of those in front, who has had nobody beside them yet
	greatest Instant    // latest end of all that are, or were, in front
	single   map[string]*lanes
	several  map[string][]*entrant // by server: runs with events of several servers, or of one that puts them in no one order
	compare  certainly
}

// entrant is a run in a field.
type entrant struct {
	*Run
	servers []string      // of its events, sorted
	full    *countedEvent // of a run of a single server: the event with which the sum came to n
	leads   bool          // is in front
	gone    bool          // was taken
	tied    bool
	blocks  []*entrant // those whose known predecessor it is
}

// lanes are the runs whose events are all of one server: those whose full event has a
// running number and those where it has none, each in the server's order of these.
type lanes struct{ numbered, plain lane }

type lane struct {
	runs []*entrant
	head int // those before are gone
}

func newField(runs []*Run, n Amount) *field {
	f := &field{n: n, slack: slack(runs), greatest: -Never, single: map[string]*lanes{}, several: map[string][]*entrant{}}
	all := make([]entrant, len(runs))
	for i, r := range runs {
		all[i].Run = r
		f.byStart = append(f.byStart, &all[i])
	}
	slices.SortFunc(f.byStart, func(a, b *entrant) int {
		return cmp.Or(cmp.Compare(a.Earliest, b.Earliest), cmp.Compare(a.Subject, b.Subject))
	})
	f.byEnd = slices.SortedFunc(slices.Values(f.byStart), func(a, b *entrant) int {
		return cmp.Or(cmp.Compare(a.Latest, b.Latest), cmp.Compare(a.Subject, b.Subject))
	})
	return f
}

// slack returns for how long after its ends a claim still matters to others, because
// estimates of a server's clock contradict the order in which the server numbered its
// events. A claim that begins up to so long after another has ended need not be behind
// it, and one that begins up to so long after another may still precede that. Take two
// events of one server, in its order, and compare the earliest end of the first with the
// ends of the second: the slack is twice what it lies after the latest end, since both
// claims may be off by that, or what it lies after the earliest end, if that is more. It
// is 0 where the estimates agree with the order and their error never changes.
func slack(runs []*Run) Instant {
	type drift struct{ mostE, leastE, leastL Instant }
	drifts := map[string]drift{}
	worst := Instant(0)
	for _, r := range runs {
		for i := range r.events {
			ev := &r.events[i]
			d, ok := drifts[ev.server]
			if !ok {
				d = drift{-Never, Never, Never}
			}
			d = drift{max(d.mostE, ev.e-ev.at), min(d.leastE, ev.e-ev.at), min(d.leastL, ev.l-ev.at)}
			drifts[ev.server] = d
			worst = max(worst, Slack(d.mostE, d.leastE, d.leastL))
		}
	}
	return worst
}

// Slack returns the slack of one server. The earliest end of its events lies after the
// stamp by at most mostE and at least leastE, the latest end by at least leastL; all
// three may be negative.
func Slack(mostE, leastE, leastL Instant) Instant {
	return max(0, 2*(mostE-leastL), mostE-leastE)
}

// first returns the one that is left and ends first; false if none is left.
func (f *field) first() (*entrant, bool) {
	for len(f.byEnd) > 0 && f.byEnd[0].gone {
		f.byEnd = f.byEnd[1:]
	}
	if len(f.byEnd) == 0 {
		return nil, false
	}
	return f.byEnd[0], true
}

// candidates returns the runs that no other certainly precedes, in the order of
// compareClaims. The slice is good until the next call.
func (f *field) candidates() []*entrant {
	first, ok := f.first()
	if !ok {
		return nil
	}
	f.admit(first.Latest + f.slack)
	if f.circle = len(f.front) == 0; f.circle {
		for _, x := range f.byStart[:f.next] {
			if !x.gone && x.Earliest <= first.Latest {
				f.lead(x)
			}
		}
	}
	for _, x := range f.alone {
		x.tied = x.tied || len(f.front) > 1
		f.greatest = max(f.greatest, x.Latest)
	}
	if len(f.front) > 1 {
		f.alone = f.alone[:0]
	}
	return f.front
}

// lead puts a run in front.
func (f *field) lead(x *entrant) {
	i, _ := slices.BinarySearchFunc(f.front, x, func(a, b *entrant) int { return compareClaims(&a.Claim, &b.Claim) })
	f.front = slices.Insert(f.front, i, x)
	x.leads = true
	f.alone = append(f.alone, x)
}

// admit takes in the runs that begin by the instant: only they can be in front, or
// precede one that is.
func (f *field) admit(until Instant) {
	from := f.next
	for f.next < len(f.byStart) && f.byStart[f.next].Earliest <= until {
		f.index(f.byStart[f.next])
		f.next++
	}
	for _, y := range f.byStart[from:f.next] {
		f.settle(y)
	}
	if from > 0 {
		for _, y := range f.byStart[from:f.next] {
			f.overtake(y)
		}
	}
}

// index makes a run known to those that look for a predecessor.
func (f *field) index(x *entrant) {
	x.servers = x.serversOf()
	full := &x.events[x.fills(byPlace(len(x.events)), f.n)]
	if len(x.servers) > 1 || x.mixes(full.at) {
		for _, s := range x.servers {
			f.several[s] = append(f.several[s], x)
		}
		return
	}
	x.full = full
	l := f.single[x.servers[0]]
	if l == nil {
		l = &lanes{}
		f.single[x.servers[0]] = l
	}
	l.of(x.full).add(x)
}

// serversOf returns the servers of the run's events, sorted.
func (run *Run) serversOf() []string {
	var servers []string
	for i := range run.events {
		if s := run.events[i].server; len(servers) == 0 || servers[len(servers)-1] != s {
			servers = append(servers, s)
		}
	}
	return servers
}

// mixes reports whether some of the run's events of one stamp have a running number
// and others have none, so that their server puts them in no one order.
func (run *Run) mixes(at Instant) bool {
	plain, numbered := false, false
	for i := range run.events {
		if ev := &run.events[i]; ev.at == at {
			plain, numbered = plain || ev.seq == 0, numbered || ev.seq != 0
		}
	}
	return plain && numbered
}

func (l *lanes) of(ev *countedEvent) *lane {
	if ev.seq == 0 {
		return &l.plain
	}
	return &l.numbered
}

// add puts a run into the lane at its place, which is sought from the end: runs come in
// by when they begin, and those that begin later mostly belong last.
func (l *lane) add(x *entrant) {
	i := len(l.runs)
	for i > l.head && compareServerOrder(x.full, l.runs[i-1].full) < 0 {
		i--
	}
	l.runs = slices.Insert(l.runs, i, x)
}

// left returns the runs of the lane that are not gone.
func (l *lane) left() []*entrant {
	for l.head < len(l.runs) && l.runs[l.head].gone {
		l.head++
	}
	return l.runs[l.head:]
}

// settle puts a run in front, or behind one that precedes it.
func (f *field) settle(x *entrant) {
	if by := f.predecessor(x); by != nil {
		by.blocks = append(by.blocks, x)
		return
	}
	f.lead(x)
}

// overtake puts those in front behind a run that came in later and precedes them.
func (f *field) overtake(y *entrant) {
	for _, x := range slices.Clone(f.front) {
		if x != y && shares(x.servers, y.servers) && f.compare.precedes(y.Run, x.Run, f.n) {
			f.fallBack(x)
			y.blocks = append(y.blocks, x)
		}
	}
}

func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool {
		_, ok := slices.BinarySearch(b, s)
		return ok
	})
}

// predecessor returns one of those left that certainly precedes x, or nil.
func (f *field) predecessor(x *entrant) *entrant {
	for _, y := range f.byEnd {
		if y.gone || y == x {
			continue
		}
		if y.Latest >= x.Earliest {
			break
		}
		if y.Latest+f.slack < x.Earliest || f.compare.precedes(y.Run, x.Run, f.n) {
			return y
		}
		if f.slack == 0 {
			break
		}
	}
	for _, server := range x.servers {
		if y := f.onServer(server, x); y != nil {
			return y
		}
		for _, y := range f.several[server] {
			if !y.gone && y != x && f.compare.precedes(y.Run, x.Run, f.n) {
				return y
			}
		}
	}
	return nil
}

// onServer returns a run whose events are all of the server and that certainly precedes
// x, or nil. Of two such runs the one whose full event the server puts first precedes
// the other. So where x is such a run too, only those matter whose full event has an
// earlier stamp, or the stamp of x's and a smaller number.
func (f *field) onServer(server string, x *entrant) *entrant {
	l := f.single[server]
	if l == nil {
		return nil
	}
	if x.full == nil {
		last := x.last(server)
		for _, lane := range []*lane{&l.numbered, &l.plain} {
			for _, y := range lane.left() {
				if y.full.at > last {
					break
				}
				if !y.gone && f.compare.precedes(y.Run, x.Run, f.n) {
					return y
				}
			}
		}
		return nil
	}
	if left := l.plain.left(); len(left) > 0 && left[0].full.at < x.full.at {
		return left[0]
	}
	for _, y := range l.numbered.left() {
		switch {
		case y.gone || y == x:
		case y.full.at < x.full.at:
			return y
		case !beforeOnServer(y.full, x.full):
			return nil
		case f.compare.precedes(y.Run, x.Run, f.n):
			return y
		}
	}
	return nil
}

// last returns the stamp of the run's last event on the server.
func (run *Run) last(server string) Instant {
	last := -Never
	for i := range run.events {
		if run.events[i].server == server {
			last = max(last, run.events[i].at)
		}
	}
	return last
}

// fallBack takes a run out of the front.
func (f *field) fallBack(x *entrant) {
	if i := slices.Index(f.front, x); i == 0 {
		f.front = f.front[1:]
	} else if i > 0 {
		f.front = slices.Delete(f.front, i, i+1)
	}
	if i := slices.Index(f.alone, x); i >= 0 {
		f.alone = slices.Delete(f.alone, i, i+1)
	}
	x.leads = false
}

// remove takes runs out of the field; those that they kept back look for another
// predecessor, and after a circle all that were in it do.
func (f *field) remove(taken []*entrant) {
	if len(taken) == len(f.front) {
		f.front, f.alone = nil, nil
	}
	for _, x := range taken {
		x.gone = true
		f.fallBack(x)
	}
	if f.circle {
		for _, x := range slices.Clone(f.front) {
			f.fallBack(x)
			f.settle(x)
		}
	}
	for _, x := range taken {
		for _, y := range x.blocks {
			if !y.gone && !y.leads {
				f.settle(y)
			}
		}
	}
}

func hashText(h hash.Hash, s string) {
	hashNumber(h, uint64(len(s)))
	h.Write([]byte(s))
}

func hashNumber(h hash.Hash, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	h.Write(b[:])
}
