package httpapi

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"photofinish/ingest"
	"photofinish/rules"
)

// maxGaps bounds the gaps that are kept of one server; beyond it the oldest are forgotten.
const maxGaps = 100

// Gap is a span of numbers that a server left out.
type Gap struct {
	Server string `json:"server"`
	Log    string `json:"log,omitempty"` // numbers are bytes of the log of this run of a game's server; empty: they are seq
	First  uint64 `json:"first,string"`
	Last   uint64 `json:"last,string"`
}

// gaps watches the running numbers of servers, and the bytes of their logs. It knows
// what has come to this node since it started: what another node took, or this one before,
// is not missed where it lies before the first number seen, and looks like a gap where it
// lies within.
type gaps struct {
	mu *sync.Mutex // guards the map alone, so that no server waits for another's numbers
	of map[string]*numbered
}

// numbered is what has come of a server: every number from first to last but the missing.
type numbered struct {
	mu          sync.Mutex // guards the fields below
	server, log string
	some        bool // has come; first and last say nothing before
	first, last uint64
	missing     []Gap // by First; they do not touch
}

func newGaps() gaps { return gaps{new(sync.Mutex), map[string]*numbered{}} }

// at returns what has come of a server: of its logs, or of its running numbers.
func (g *gaps) at(server string, logs bool) *numbered {
	key := server
	if logs {
		key = "\x00" + server // no name has such a byte
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of[key]
	if n == nil {
		n = &numbered{server: server}
		g.of[key] = n
	}
	return n
}

// numbers notes the running numbers of events; 0 is none.
func (g *gaps) numbers(server string, events []rules.Event) {
	voids := maxVoids
	var n *numbered // made for a server that has numbers
	for i := range events {
		e := &events[i]
		void := ""
		if e.Type == rules.TypeHeartbeat {
			void = e.Attrs[ingest.AttrVoid]
		}
		if e.Seq == 0 && void == "" {
			continue
		}
		if n == nil {
			n = g.at(server, false)
			n.mu.Lock()
			defer n.mu.Unlock()
		}
		if e.Seq != 0 {
			n.seen(e.Seq, e.Seq)
		}
		voids = n.voids(void, voids)
	}
}

// maxVoids bounds the spans that are read of one batch: the body of one may have millions,
// and a sender tells of twenty.
const maxVoids = 100

// voids takes numbers for seen that a server says it gave to no event: at most so many
// spans, and returns how many are left of that. The lock is held.
func (n *numbered) voids(text string, most int) (left int) {
	if len(text) > ingest.MaxAttrValueBytes { // what the node refused for its length comes here all the same
		return most
	}
	spans := ingest.VoidSpans(text, most)
	for _, s := range spans {
		n.seen(s.First, s.Last)
	}
	return most - len(spans)
}

// bytes notes a piece of the log of a run. A new run begins a new log; of the one before
// nothing more is expected.
func (g *gaps) bytes(server, log string, begin, size uint64) {
	if size == 0 {
		return
	}
	n := g.at(server, true)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.log != log {
		n.log, n.some, n.missing = log, false, nil
	}
	n.seen(begin, begin+size-1)
}

// seen takes a span for come. The lock is held.
func (n *numbered) seen(first, last uint64) {
	if !n.some {
		n.some, n.first, n.last = true, first, last
		return
	}
	if last < n.first {
		return // before anything that is known here
	}
	if first > n.last && first-n.last > 1 {
		n.missing = append(n.missing, Gap{n.server, n.log, n.last + 1, first - 1})
		if len(n.missing) > maxGaps {
			n.missing = slices.Delete(n.missing, 0, 1)
		}
	} else if n.misses(first, last) {
		n.fill(first, last)
	}
	n.last = max(n.last, last)
}

// misses reports whether a number of the span is missing. Most that comes again is not, and
// costs no copy.
func (n *numbered) misses(first, last uint64) bool {
	at, _ := slices.BinarySearchFunc(n.missing, first, func(gap Gap, first uint64) int { return cmp.Compare(gap.Last, first) })
	return at < len(n.missing) && n.missing[at].First <= last
}

// fill takes what has come after all out of the missing.
func (n *numbered) fill(first, last uint64) {
	left := make([]Gap, 0, len(n.missing)+1)
	for _, gap := range n.missing {
		if last < gap.First || first > gap.Last {
			left = append(left, gap)
			continue
		}
		if gap.First < first {
			left = append(left, Gap{n.server, n.log, gap.First, first - 1})
		}
		if last < gap.Last {
			left = append(left, Gap{n.server, n.log, last + 1, gap.Last})
		}
	}
	n.missing = left[max(0, len(left)-maxGaps):]
}

func (g *gaps) list() []Gap {
	g.mu.Lock()
	all := slices.Collect(maps.Values(g.of))
	g.mu.Unlock()
	list := []Gap{}
	for _, n := range all { // order free: sorted below
		n.mu.Lock()
		list = append(list, n.missing...)
		n.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b Gap) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Log, b.Log), cmp.Compare(a.First, b.First))
	})
	return list
}
