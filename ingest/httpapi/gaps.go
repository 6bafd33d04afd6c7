package httpapi

import (
	"cmp"
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
	mu *sync.Mutex
	of map[string]*numbered // by server and kind
}

// numbered is what has come of a server: every number from first to last but the missing.
type numbered struct {
	server, log string
	first, last uint64
	missing     []Gap // by First; they do not touch
}

func newGaps() gaps { return gaps{new(sync.Mutex), map[string]*numbered{}} }

// numbers notes the running numbers of events; 0 is none.
func (g *gaps) numbers(server string, events []rules.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range events {
		if seq := events[i].Seq; seq != 0 {
			g.seen(server, "", seq, seq)
		}
		if events[i].Type == rules.TypeHeartbeat {
			for _, s := range ingest.VoidSpans(events[i].Attrs[ingest.AttrVoid]) {
				g.seen(server, "", s.First, s.Last)
			}
		}
	}
}

// bytes notes a piece of the log of a run. A new run begins a new log; of the one before
// nothing more is expected.
func (g *gaps) bytes(server, log string, begin, size uint64) {
	if size == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen(server, log, begin, begin+size-1)
}

func (g *gaps) seen(server, log string, first, last uint64) {
	key := server
	if log != "" {
		key = "\x00" + server // no name has such a byte
	}
	n := g.of[key]
	if n == nil || n.log != log {
		g.of[key] = &numbered{server: server, log: log, first: first, last: last}
		return
	}
	n.seen(first, last)
}

func (n *numbered) seen(first, last uint64) {
	if last < n.first {
		return // before anything that is known here
	}
	if first > n.last && first-n.last > 1 {
		n.missing = append(n.missing, Gap{n.server, n.log, n.last + 1, first - 1})
		if len(n.missing) > maxGaps {
			n.missing = slices.Delete(n.missing, 0, 1)
		}
	} else if len(n.missing) > 0 && first <= n.missing[len(n.missing)-1].Last {
		n.fill(first, last)
	}
	n.last = max(n.last, last)
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
	defer g.mu.Unlock()
	list := []Gap{}
	for _, n := range g.of { // order free: sorted below
		list = append(list, n.missing...)
	}
	slices.SortFunc(list, func(a, b Gap) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Log, b.Log), cmp.Compare(a.First, b.First))
	})
	return list
}
