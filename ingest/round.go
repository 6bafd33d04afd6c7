package ingest

import (
	"fmt"
	"slices"
	"strconv"

	"photofinish/ingest/spool"
)

// maxWaits is how many rounds a request that finds no room lets pass.
const maxWaits = 2

// round is what goes to the disk with one write and one sync: whole requests, in the order
// in which they took the node's lock.
type round struct {
	payloads [][]byte
	bytes    int               // at most so many
	places   places            // in payloads
	told     map[string]report // what servers say with it, which counts once it has landed
	taken    chan struct{}     // closed when nothing joins it any more
	done     chan struct{}     // closed when it has landed or failed; then the next two are set
	first    uint64            // the offset of the first payload
	err      error
}

func newRound() *round {
	return &round{places: places{}, told: map[string]report{}, taken: make(chan struct{}), done: make(chan struct{})}
}

// flight is an event in a round.
type flight struct {
	round *round
	place uint64
}

// offset is the event's own, once its round has landed.
func (f flight) offset() uint64 { return f.round.first + f.place }

// enter decides what of a request is new, puts that into the waiting round, which has room
// for it, and notes the rounds on which the answer depends. The node is locked.
func (n *Node) enter(r *request) {
	for i := range r.events {
		n.order(&r.events[i].record)
	}
	for i := range r.beats {
		n.order(&r.beats[i].record)
	}
	b := make([]byte, 0, r.bytes)
	fresh := 0
	for i := range r.events {
		c := &r.events[i]
		same, any := n.find(r, c)
		if same {
			r.result.Duplicates++
			continue
		}
		if any {
			r.result.Conflicts++
			r.result.Conflict = strconv.QuoteToGraphic(c.Server + "/" + c.ID)
		}
		fresh++
		start := len(b)
		b = c.appendTo(b)
		n.put(c, b[start:len(b):len(b)])
	}
	if fresh > 0 {
		r.result.Accepted += fresh
		n.waiting.bytes += r.bytes
		r.need(n.waiting)
	}
	if newest := n.newest(); newest != nil && len(r.beats) > 0 {
		r.need(newest)
	}
	n.tell(r)
	if n.waiting != nil && !n.committing {
		n.committing = true
		s := n.spool
		n.commits.Go(func() { n.commit(s) })
	}
}

// find reports whether the event is known with the same content, and notes on what that
// depends; and whether it is known with any.
func (n *Node) find(r *request, c *candidate) (same, any bool) {
	for _, in := range []*round{n.waiting, n.flying} {
		if in == nil {
			continue
		}
		place, same, there := in.places.find(c.key, c.Content)
		if same {
			r.copied = append(r.copied, flight{in, place})
			r.need(in)
			return true, true
		}
		any = any || there
	}
	offset, same, there := n.recent.find(c.key, c.Content)
	if !same && c.same {
		offset, same = c.own, true
	}
	if same && offset != 0 {
		r.copies = append(r.copies, offset)
	}
	return same, any || there || c.known
}

// put adds a payload to the waiting round.
func (n *Node) put(c *candidate, payload []byte) {
	if n.waiting == nil {
		n.waiting = newRound()
	}
	w := n.waiting
	w.places.add(c.key, c.Content, uint64(len(w.payloads)))
	w.payloads = append(w.payloads, payload)
}

func (r *request) need(other *round) {
	if !slices.Contains(r.needs, other) {
		r.needs = append(r.needs, other)
	}
}

// newest returns the round that lands last; nil: nothing is in flight.
func (n *Node) newest() *round {
	if n.waiting != nil {
		return n.waiting
	}
	return n.flying
}

// order makes the record agree with everything that its server has said, in flight or
// landed.
func (n *Node) order(r *record) {
	said, known := n.marks.Servers[r.Server]
	for _, in := range []*round{n.flying, n.waiting} {
		if in == nil {
			continue
		}
		if more, found := in.told[r.Server]; found {
			said, known = said.join(more, known), true
		}
	}
	if known {
		said.order(r)
	}
}

// tell notes what the request's server says with it. It counts when the newest round has
// landed: until then events before it may not be on the disk.
func (n *Node) tell(r *request) {
	for i := range r.beats {
		n.unused.note(&r.beats[i].record)
	}
	newest := n.newest()
	for _, list := range [][]candidate{r.events, r.beats} {
		for i := range list {
			said := reportOf(&list[i].record, r.now)
			if newest == nil {
				n.marks.reported(list[i].Server, said)
				continue
			}
			before, known := newest.told[list[i].Server]
			newest.told[list[i].Server] = before.join(said, known)
		}
	}
}

// commit writes rounds until none waits.
func (n *Node) commit(s *spool.Spool) {
	for {
		n.mu.Lock()
		r := n.waiting
		n.flying, n.waiting = r, nil
		if r == nil {
			n.committing = false
			n.mu.Unlock()
			return
		}
		close(r.taken)
		n.mu.Unlock()
		r.first, r.err = s.Append(r.payloads)
		if r.err == nil {
			// A crash here leaves events that are safe but not acknowledged. The server
			// sends them again and they are found to be duplicates.
			r.err = n.cfg.Stop("accept.spooled")
		}
		if r.err != nil {
			r.err = fmt.Errorf("store %d events: %w", len(r.payloads), r.err)
		}
		n.mu.Lock()
		n.flying = nil
		if r.err == nil {
			n.land(r)
		} else {
			n.fail(r)
		}
		n.mu.Unlock()
		close(r.done)
		if r.err == nil {
			n.wakeUp()
		}
	}
}

// land notes that a round is on the disk: only now can its events be forwarded, and only
// now may the watermark pass them. The node is locked.
func (n *Node) land(r *round) {
	n.end = max(n.end, r.first+uint64(len(r.payloads))-1)
	for k, p := range r.places {
		n.recent.add(k, p.content, r.first+p.at)
	}
	for server, said := range r.told {
		n.marks.reported(server, said)
	}
}

// fail notes that a round is perhaps on no disk. Its servers were heard all the same: what
// they could not tell they keep and send again, so the watermark must not pass it as if
// they were silent. The node is locked.
func (n *Node) fail(r *round) {
	for server, said := range r.told {
		if _, known := n.marks.Servers[server]; known {
			n.marks.reported(server, report{Region: said.Region, HeardNs: said.HeardNs})
		}
		if n.waiting != nil { // what it says behind something that was lost would promise too much
			delete(n.waiting.told, server)
		}
	}
}
