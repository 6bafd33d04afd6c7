package keys

import (
	"context"
	"time"
)

// A key that is not known may have been made a moment ago: who presents it waits, at most
// askTimeout, for a reading of the table that begins after he came. All who wait share it, and
// askPause passes from the end of one to the next, so that a flood of wrong keys costs a few
// readings and refuses no new key. Where a reading fails there is none for askTimeout: while
// ClickHouse is away nobody waits in vain more often than that.
const (
	askPause   = 100 * time.Millisecond
	askTimeout = time.Second
)

// reading is one of the table for those who present keys that are not known.
type reading struct{ ended chan struct{} }

// ask waits until the id is known or a reading of the table has ended that began after this
// call, at most askTimeout and until ctx is done. The first who wants one does it for all,
// which may take him as long again. That it fails is told by Run, which reads all the time.
func (s *Store) ask(ctx context.Context, id string) {
	waiting, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s.asking.Lock()
	early := s.under // it may miss what was made since it began
	s.asking.Unlock()
	if early != nil && !early.wait(waiting) || s.has(id) {
		return
	}
	s.asking.Lock()
	r := s.next
	if r == nil && s.under != early {
		r = s.under
	}
	if r != nil {
		s.asking.Unlock()
		r.wait(waiting)
		return
	}
	paused := s.paused
	if s.failed && !isClosed(paused) {
		s.asking.Unlock()
		return
	}
	r = &reading{make(chan struct{})}
	s.next = r
	s.asking.Unlock()
	// A client that gives up must not take the reading from those who wait for it.
	s.readFor(context.WithoutCancel(ctx), r, paused)
}

// readFor does a reading, which is the next one, for those who wait for it.
func (s *Store) readFor(ctx context.Context, r *reading, paused <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if paused != nil {
		<-paused
	}
	err := s.lock(ctx)
	s.asking.Lock()
	s.next, s.under = nil, r
	s.asking.Unlock()
	if err == nil {
		if err = s.read(ctx); err == nil {
			_ = s.keep() // a full disk makes no key unknown
		}
		s.unlock()
	}
	pause := askPause
	if err != nil {
		pause = askTimeout
	}
	over := make(chan struct{})
	time.AfterFunc(pause, func() { close(over) })
	s.asking.Lock()
	s.under, s.paused, s.failed = nil, over, err != nil
	s.asking.Unlock()
	close(r.ended)
}

// wait waits for the reading to end, and reports whether it has.
func (r *reading) wait(ctx context.Context) bool {
	select {
	case <-r.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return c == nil
	}
}
