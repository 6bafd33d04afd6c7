package rulestest

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"photofinish/rules"
	"photofinish/rules/hour"
)

const (
	silence  = rules.Instant(15 * time.Minute) // so long a node waits for a server; hour's default
	patience = silence / 3                     // so long a server waits for an answer before it changes nodes
)

// world is what happens, minute by minute, where servers send to nodes, nodes publish
// what they know, and runs settle what the plan says is due from what is published and
// can be read by then. Its cuts are those that really occur.
type world struct {
	testing.TB
	*rand.Rand
	wild    Wildness
	now     rules.Instant
	ends    rules.Instant // then nothing happens any more
	servers []*server
	nodes   []*node
	retired []hour.Retirement
	rows    []*row
	known   []hour.Row // all progress
	ids     int

	set    *rules.Ruleset
	ledger *rules.Simulation // says what is due again
	last   hour.Last
	cuts   []rules.SimulatedCut
	runs   []Run
	away   rules.Instant // no run is made before
}

// row is a row of the merged log.
type row struct {
	rules.Record
	from rules.Instant // it can be read from then on
}

// server is a game server with its queue.
type server struct {
	name, region string
	skew         rules.Instant // of its clock
	numbered     bool
	seq          uint64
	queue, sent  []rules.Event
	node         *node
	unanswered   rules.Instant // since when; 0: its node answers
	quiet        rules.Instant // until when it sends nothing
	clocks       map[*node]clock
}

// clock is what a node knows of a server's clock.
type clock struct{ ahead, err, resolution rules.Instant }

// node is an ingest node.
type node struct {
	name       string
	start, up  rules.Instant // of its process; in between it is down
	stuck      rules.Instant // until when it takes events and forwards nothing
	offset     uint64
	published  uint64
	unsent     []*row
	told       map[string]report
	marks      map[string]rules.Instant // by region, "" of all: what this process has promised
	lost, void []rules.Span
	hole       rules.Span // offsets that the log has lost and the spool has yet to send again
	heals      rules.Instant
}

// report is what a server has told a node.
type report struct {
	region          string
	told, at, heard rules.Instant
	seq             uint64
}

func newWorld(t testing.TB, rng *rand.Rand, wild Wildness) *world {
	t.Helper()
	w := &world{
		TB: t, Rand: rng, wild: wild, now: Minutes(0), set: Ruleset(t, rng, wild), ledger: rules.NewSimulation("known"),
	}
	for _, name := range []string{"eu", "us", "ap"} { // ap is spare
		w.nodes = append(w.nodes, &node{name: name, start: w.now, up: w.now, told: map[string]report{}, marks: map[string]rules.Instant{}})
	}
	for i := range 4 {
		s := &server{region: w.nodes[i%2].name, numbered: rng.IntN(3) > 0, node: w.nodes[i%2], clocks: map[*node]clock{}}
		s.name = fmt.Sprintf("%s-%d", s.region, i/2)
		if wild.Clocks {
			s.skew = minutesApart(rng.IntN(5) - 2)
		}
		w.servers = append(w.servers, s)
	}
	return w
}

// live goes through some hours, and perhaps one more after some days of silence, and
// returns their history.
func (w *world) live() History {
	w.goOn(240+w.IntN(180), 10)
	if w.once(3) {
		w.now += w.minutes(26*60, 60*60)
		w.goOn(30+w.IntN(60), 16)
	}
	w.run(hour.Now{T: w.now}, w.now)
	return History{Log: w.log(w.now + minutesApart(60)), Cuts: w.cuts, Runs: w.runs}
}

// goOn goes on for so many minutes or until there are so many cuts.
func (w *world) goOn(minutes, cuts int) {
	w.ends = w.now + minutesApart(min(minutes, 240))
	for end := w.now + minutesApart(minutes); w.now < end && len(w.cuts) < cuts; w.now += minutesApart(1) {
		w.minute()
	}
}

// once reports, once in so many times, that something happens.
func (w *world) once(in int) bool { return w.IntN(in) == 0 }

// minutes draws a span of time.
func (w *world) minutes(from, to int) rules.Instant { return minutesApart(from + w.IntN(to-from+1)) }

func (w *world) minute() {
	for _, s := range w.servers {
		if w.now < w.ends && w.once(30) {
			for range 1 + w.IntN(3) {
				w.happens(s)
			}
		}
		w.sends(s)
	}
	for _, n := range w.nodes {
		w.damage(n)
		if n.up <= w.now && n.stuck <= w.now {
			w.publish(n)
		}
		if up := n.up <= w.now; w.once(2000) || !up && w.once(100) {
			w.retire(n)
		}
	}
	w.settle()
}

// happens puts a new event into the server's queue: now, or dated back.
func (w *world) happens(s *server) {
	e := Event(w.Rand, w.ids, Wildness{}).Event
	w.ids++
	e.Server, e.Region, e.At, e.Seq = s.name, s.region, w.now+s.skew, 0
	if s.numbered {
		s.seq++
		e.Seq = s.seq
	}
	if w.once(10) {
		e.At -= w.minutes(1, 60)
	}
	s.queue = append(s.queue, e)
}

// sends has the server send its queue, and a heartbeat after it, unless it is quiet. A
// node that does not answer it leaves after a while, for one to which it then sends
// again what it has no answer for.
func (w *world) sends(s *server) {
	if w.once(200) {
		s.quiet = w.now + w.minutes(3, 90)
	}
	if s.quiet > w.now {
		return
	}
	moves := w.once(200)
	if s.node.up > w.now {
		s.unanswered = cmp.Or(s.unanswered, w.now)
		moves = w.now-s.unanswered >= patience
	}
	if moves {
		s.node = w.nodes[w.IntN(len(w.nodes))]
		s.queue = slices.Concat(s.sent[len(s.sent)-min(len(s.sent), w.IntN(3)):], s.queue)
		s.unanswered = 0
	}
	if s.node.up > w.now {
		return
	}
	s.unanswered = 0
	if w.wild.Copies && len(s.sent) > 0 && w.once(40) {
		s.queue = append(s.queue, w.again(s))
	}
	for _, e := range s.queue {
		w.take(s, e)
	}
	s.sent, s.queue = append(s.sent, s.queue...), nil
	w.told(s, s.node, w.record(s, rules.Event{At: w.now + s.skew, Seq: s.seq}))
}

// again returns an event that the server has sent: as it was, or changed.
func (w *world) again(s *server) rules.Event {
	e := s.sent[w.IntN(len(s.sent))]
	if w.once(2) {
		e.Player, e.Count = "p0", 3
	}
	return e
}

// record is the event as the server's node corrects its time.
func (w *world) record(s *server, e rules.Event) *rules.Record {
	if _, known := s.clocks[s.node]; !known || w.once(100) {
		c := clock{ahead: s.skew}
		if w.wild.Clocks {
			const unit = rules.Instant(30 * time.Second)
			c.ahead += rules.Instant(w.IntN(15)-7) * unit // more than the error says, at times
			c.err, c.resolution = rules.Instant(w.IntN(5))*unit, rules.Instant(w.IntN(3))*unit
			if w.once(3) {
				c.err *= 12
			}
		}
		s.clocks[s.node] = c
	}
	c := s.clocks[s.node]
	r := &rules.Record{Event: e, Node: s.node.name, Instant: e.At - c.ahead, Content: e.Digest()}
	r.Earliest, r.Latest = r.Instant-c.err, r.Instant+c.err+c.resolution
	said, known := s.node.told[s.name]
	switch {
	case !known:
	case cmp.Or(cmp.Compare(e.At, said.at), cmp.Compare(e.Seq, said.seq)) < 0:
		r.Backdated = r.Earliest < said.told
	default:
		r.Earliest = max(r.Earliest, said.told)
		r.Latest = max(r.Latest, r.Earliest)
	}
	return r
}

// take appends an event of the server to its node's partition.
func (w *world) take(s *server, e rules.Event) {
	r := w.record(s, e)
	w.told(s, s.node, r)
	s.node.offset++
	r.Offset = s.node.offset
	w.rows = append(w.rows, &row{*r, rules.Never})
	s.node.unsent = append(s.node.unsent, w.rows[len(w.rows)-1])
}

func (w *world) told(s *server, n *node, r *rules.Record) {
	said, known := n.told[s.name]
	if !known || cmp.Or(cmp.Compare(r.At, said.at), cmp.Compare(r.Seq, said.seq)) > 0 {
		said.at, said.seq = r.At, r.Seq
	}
	said.region, said.told, said.heard = s.region, max(said.told, r.Earliest), w.now
	n.told[s.name] = said
}

// damage has a node stop, or be cut off from the log, or the log lose rows that no cut
// has read.
func (w *world) damage(n *node) {
	if n.up <= w.now && w.once(150) {
		n.up = w.now + w.minutes(2, 200)
		n.start, n.marks = n.up, map[string]rules.Instant{}
		if w.once(2) {
			w.tear(n)
		}
	}
	if w.once(150) {
		n.stuck = w.now + w.minutes(2, 60)
	}
	if n.hole.First == 0 && w.once(40) {
		w.lose(n)
	}
	if n.hole.First > 0 && max(n.heals, n.up, n.stuck) <= w.now {
		w.mend(n)
	}
}

// tear leaves offsets of which nothing was acknowledged at the end of the node's spool.
// A row may stand there all the same.
func (w *world) tear(n *node) {
	span := rules.Span{First: n.offset + 1, Last: n.offset + 1 + w.Uint64N(2)}
	if w.once(2) {
		s := w.servers[w.IntN(len(w.servers))]
		w.ghost(s, n, span.First)
	}
	n.offset, n.void = span.Last, append(n.void, span)
}

// ghost puts a row into the log where no cut counts it, of an event that another row may
// tell of too.
func (w *world) ghost(s *server, n *node, offset uint64) {
	e := Event(w.Rand, w.ids, Wildness{}).Event
	w.ids++
	if e.Server, e.Region = s.name, s.region; len(s.queue) > 0 {
		e = s.queue[0]
	}
	r := rules.Record{Event: e, Node: n.name, Offset: offset, Content: e.Digest(), Instant: w.now + w.minutes(-60, 120)}
	r.Exactly(int64(w.minutes(0, 60)))
	w.rows = append(w.rows, &row{r, w.now})
}

// lose takes rows that no cut has read out of the log, until the spool sends them again
// or the node says that they are lost.
func (w *world) lose(n *node) {
	sent, least := w.word(n).Offset, w.last.Cut.Offset(n.name)+1
	if sent < least {
		return
	}
	first := least + w.Uint64N(sent-least+1)
	hole := rules.Span{First: first, Last: min(sent, first+w.Uint64N(3))}
	if slices.ContainsFunc(slices.Concat(n.lost, n.void), func(s rules.Span) bool { return s.First <= hole.Last && hole.First <= s.Last }) {
		return
	}
	n.hole, n.heals = hole, w.now+w.minutes(5, 120)
	w.eachOf(n, n.hole, func(r *row) { r.from = rules.Never })
}

// mend ends a hole. Rows that were published as lost may turn up long after, which
// changes nothing; their events may be sent again.
func (w *world) mend(n *node) {
	if w.once(2) {
		n.lost = append(n.lost, n.hole)
		w.eachOf(n, n.hole, func(r *row) {
			if w.once(2) {
				r.from = w.now + minutesApart(30) // when no run reads of a time before that
			}
			if s := w.servers[slices.IndexFunc(w.servers, func(s *server) bool { return s.name == r.Server })]; w.once(2) {
				s.queue = append(s.queue, r.Event)
			}
		})
	} else {
		w.eachOf(n, n.hole, func(r *row) { r.from = w.now })
	}
	n.hole = rules.Span{}
}

func (w *world) eachOf(n *node, span rules.Span, f func(*row)) {
	for _, r := range w.rows {
		if r.Node == n.name && span.First <= r.Offset && r.Offset <= span.Last {
			f(r)
		}
	}
}

// retire is what a person does to a node, as it is by its last word.
func (w *world) retire(n *node) {
	if word := w.word(n); word.Published > 0 {
		w.retired = append(w.retired, hour.Retirement{Node: n.name, Offset: word.Offset})
	}
}

// word returns the last row that the node has published.
func (w *world) word(n *node) hour.Row {
	for _, r := range slices.Backward(w.known) {
		if r.Node == n.name {
			return r
		}
	}
	return hour.Row{}
}

// publish forwards what the node has, and then says how far it is and what it promises.
func (w *world) publish(n *node) {
	for _, r := range n.unsent {
		r.from = w.now
	}
	n.unsent = nil
	if len(n.told) == 0 {
		return
	}
	n.published++
	r := hour.Row{
		Node: n.name, Published: n.published, At: w.now, Offset: n.offset, Watermark: w.promise(n, ""),
		Lost: slices.Clone(n.lost), Void: slices.Clone(n.void),
	}
	var regions []string
	for _, name := range slices.Sorted(maps.Keys(n.told)) {
		said := n.told[name]
		regions = append(regions, said.region)
		if w.now-max(said.heard, n.start) > silence {
			r.Silent = append(r.Silent, rules.SilentServer{Server: name, Watermark: said.told, Since: said.heard})
		}
	}
	slices.Sort(regions)
	for _, region := range slices.Compact(regions) {
		r.Regions = append(r.Regions, rules.RegionMark{Region: region, Watermark: w.promise(n, region)})
	}
	w.known = append(w.known, r)
}

// promise is the node's watermark for a region, or for all of them: what its live
// servers have told of, and what it has promised before.
func (w *world) promise(n *node, region string) rules.Instant {
	least := rules.Never
	for _, said := range n.told { // order free: a minimum
		if (region == "" || said.region == region) && w.now-max(said.heard, n.start) <= silence {
			least = min(least, said.told)
		}
	}
	if least == rules.Never {
		least = w.now - silence
	}
	n.marks[region] = max(n.marks[region], min(least, w.now))
	return n.marks[region]
}
