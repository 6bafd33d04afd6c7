package sender

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// personPause is the time between two tries where only a person can help.
	personPause = time.Minute
	// readyFor is how long the first node must have been ready before the sender goes back.
	readyFor   = 10 * time.Minute
	readyEvery = 20 * time.Second
	// keepSent is how long a segment is kept after its last write though a node has all of
	// it: what a client gives again within that is known.
	keepSent   = time.Hour
	pruneEvery = time.Minute
)

// trouble is what the current node's lack of an answer has come to.
type trouble struct {
	since time.Time // the first request that it did not take; the zero time: none
	tries int
}

// Run sends what is kept until ctx is done, then returns the cause. Nothing else ends it:
// what a node refuses for good is set aside, everything else is tried again.
func (s *Sender) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { s.watchFirst(ctx) })
	defer watching.Wait()
	for {
		s.goBack()
		b, err := s.next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s.log.ErrorContext(ctx, "what is kept cannot be read; it is tried again", "err", err)
			if err := s.pause(ctx, maxPause); err != nil {
				return err
			}
			continue
		}
		if err := s.deliver(ctx, b); err != nil {
			return err
		}
	}
}

// deliver sends a batch until all of it is taken or set aside.
func (s *Sender) deliver(ctx context.Context, b *batch) error {
	queue := []*batch{b}
	for len(queue) > 0 {
		b := queue[0]
		if len(b.ends) == 0 { // what lay there can no longer be read
			s.done(ctx, b)
			queue = queue[1:]
			continue
		}
		node := &s.nodes[s.current]
		s.began = s.cfg.Now()
		a := s.attempt(ctx, node, b)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case a.fate == taken:
			s.setAside(ctx, node.url, b, a)
			s.done(ctx, b)
			queue = queue[1:]
		case a.fate == refused && len(b.ends) > 1:
			queue = append(b.halves(), queue[1:]...)
			continue // at once: it is an answer
		case a.fate == refused && a.own:
			a.rejected = []rejected{{Line: 1, Error: a.words}}
			s.setAside(ctx, node.url, b, a)
			s.done(ctx, b)
			queue = queue[1:]
		default:
			if err := s.failed(ctx, node.url, a); err != nil {
				return err
			}
			continue
		}
		s.recovered(ctx, node.url)
	}
	return nil
}

// attempt posts a batch, no longer than the node has left.
func (s *Sender) attempt(ctx context.Context, n *node, b *batch) answer {
	if t := s.trouble.since; len(s.nodes) > 1 && !t.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.Patience-s.began.Sub(t))
		defer cancel()
	}
	return s.post(ctx, n, b)
}

// done moves on behind a batch.
func (s *Sender) done(ctx context.Context, b *batch) {
	s.mu.Lock()
	s.acked = max(s.acked, b.upTo)
	if b.beat != 0 {
		s.beat.told = max(s.beat.told, b.beat)
		s.beat.next = s.began.Add(s.cfg.Heartbeat)
		s.beat.number++
	}
	mark := s.refused.before(s.acked)
	s.change()
	s.mu.Unlock()
	if len(b.offsets) > 0 {
		s.saveMark(mark)
	}
	now := s.cfg.Now()
	if now.Sub(s.pruned) < pruneEvery {
		return
	}
	s.pruned = now
	if _, err := s.disk.Prune(mark, now, keepSent); err != nil {
		s.log.WarnContext(ctx, "old segments are not removed", "err", err)
	}
}

// setAside keeps what a node refused, with its words, for a person.
func (s *Sender) setAside(ctx context.Context, url string, b *batch, a answer) {
	var aside []refusal
	for _, r := range a.rejected {
		if r.Line > len(b.offsets) {
			s.log.ErrorContext(ctx, "a node refuses the heartbeat: look at the clock of this machine", "node", url, "reason", r.Error)
			continue
		}
		aside = append(aside, refusal{
			Offset: b.offsets[r.Line-1], Refused: instant(s.cfg.Now()), Node: url, Status: a.status,
			Reason: r.Error, Event: b.line(r.Line - 1),
		})
	}
	if err := s.refused.add(aside...); err != nil {
		s.log.ErrorContext(ctx, "refused events are not set aside yet; they stay in the spool", "err", err)
	}
	if len(aside) > 0 {
		s.log.ErrorContext(ctx, "a node refuses events; a person must look at them", "node", url,
			"events", len(aside), "path", s.refused.path, "first", string(aside[0].Event), "reason", aside[0].Reason)
	}
}

// failed notes that a node did not take a request, and waits before the next, or turns to
// the next node.
func (s *Sender) failed(ctx context.Context, url string, a answer) error {
	now := s.cfg.Now()
	t := &s.trouble
	if t.since.IsZero() {
		t.since = s.began
	}
	s.mu.Lock()
	s.why = a.words
	s.mu.Unlock()
	pause := jittered(t.tries)
	t.tries++
	switch {
	case a.fate != again:
		pause = personPause
		s.log.ErrorContext(ctx, "a node takes nothing from this server until a person mends it",
			"node", url, "status", a.status, "err", a.words)
	case a.retry > 0:
		pause += min(a.retry, s.cfg.Patience)
	}
	if a.fate == again && t.tries == 1 {
		s.log.WarnContext(ctx, "a node takes nothing; it is tried again", "node", url, "status", a.status, "err", a.words)
	}
	if len(s.nodes) == 1 {
		return s.pause(ctx, pause)
	}
	if left := s.cfg.Patience - now.Sub(t.since); left > 0 {
		return s.pause(ctx, min(pause, left))
	}
	s.turnTo((s.current + 1) % len(s.nodes))
	s.log.ErrorContext(ctx, "a node has taken nothing for too long; the next one is tried", "node", url, "next", s.nodes[s.current].url)
	return nil
}

// jittered returns a random pause that grows with the tries.
func jittered(tries int) time.Duration {
	limit := maxPause
	if tries < 5 {
		limit = min(limit, firstPause<<tries)
	}
	return rand.N(limit)
}

// recovered notes that a node took a request.
func (s *Sender) recovered(ctx context.Context, url string) {
	if !s.trouble.since.IsZero() {
		s.log.InfoContext(ctx, "a node takes events again", "node", url, "tries", s.trouble.tries, "after", s.cfg.Now().Sub(s.trouble.since))
	}
	s.trouble = trouble{}
	s.mu.Lock()
	s.why = ""
	s.mu.Unlock()
}

func (s *Sender) turnTo(node int) {
	s.mu.Lock()
	s.current, s.ready = node, false
	s.mu.Unlock()
	s.trouble = trouble{}
}

// goBack returns to the first node once that has been ready for long enough and nothing is
// unacknowledged.
func (s *Sender) goBack() {
	s.mu.Lock()
	back := s.current != 0 && s.ready && s.acked >= s.landed.end
	s.mu.Unlock()
	if back {
		s.turnTo(0)
		s.log.Info("the first node is ready again; it gets what comes now", "node", s.nodes[0].url)
	}
}

// watchFirst asks the first node whether it is ready, while another one is sent to.
func (s *Sender) watchFirst(ctx context.Context) {
	var since time.Time
	for s.pause(ctx, readyEvery) == nil {
		s.mu.Lock()
		away := s.current != 0
		s.mu.Unlock()
		if !away || !s.isReady(ctx, s.nodes[0].url) {
			since = time.Time{}
			s.setReady(false)
			continue
		}
		now := s.cfg.Now()
		if since.IsZero() {
			since = now
		}
		s.setReady(now.Sub(since) >= readyFor)
	}
}

func (s *Sender) setReady(ready bool) {
	s.mu.Lock()
	s.ready = ready && s.current != 0
	s.mu.Unlock()
}

// Flush waits until everything that is kept now was taken by a node or set aside. Run must
// be running.
func (s *Sender) Flush(ctx context.Context) error {
	s.mu.Lock()
	end := s.landed.end
	for s.acked < end {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return nil
}
