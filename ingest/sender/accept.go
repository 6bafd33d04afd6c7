package sender

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

const (
	// maxRoundBytes is what one write takes; more waits for the next.
	maxRoundBytes = 4 << 20
	// maxStepBack is how far the clock of the machine may go back without an event
	// noticing: until it is there again, instants stand still, and seq orders them.
	maxStepBack = rules.Instant(time.Second)
)

// round is what is written and synced at once.
type round struct {
	keys     map[key]struct{}
	payloads [][]byte
	bytes    int
	taken    chan struct{} // closed when it takes no more
	done     chan struct{} // closed when err is known
	err      error
}

// has reports whether an event is in the round; a nil round has none.
func (r *round) has(k key) bool {
	if r == nil {
		return false
	}
	_, in := r.keys[k]
	return in
}

type kept struct {
	key     key
	payload []byte
}

// Accept keeps an event. It returns nil once the event is on this machine's disk, synced:
// it is then sent until a node has it, whatever happens to this process.
//
// An empty ID and an At of 0 are filled in, in *e, also before an error. Seq is given to
// an event that has none; *e does not show it. Server and Region are ignored: the key
// names them. After an error nothing is promised: call again with the same *e, so that it
// stays one event. ErrFull says that it is not stored. The end of ctx ends the waiting
// alone; the event may be kept.
//
// An event whose At lies before a heartbeat that was told is late evidence.
func (s *Sender) Accept(ctx context.Context, e *rules.Event) error {
	_, err := s.AcceptAll(ctx, []*rules.Event{e})
	return err
}

// AcceptAll is Accept for several events, in their order and with one sync. They are kept
// together or, after an error, none is promised. It returns how many were known already.
func (s *Sender) AcceptAll(ctx context.Context, events []*rules.Event) (duplicates int, err error) {
	depends, duplicates, err := s.enqueue(ctx, events)
	if err != nil {
		return 0, fmt.Errorf("accept: %w", err)
	}
	for _, r := range depends {
		if err := r.wait(ctx); err != nil {
			return 0, fmt.Errorf("accept: %w", err)
		}
	}
	return duplicates, nil
}

func (r *round) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enqueue gives events their instants and places, under one lock, and returns the rounds
// that must land before they are safe.
func (s *Sender) enqueue(ctx context.Context, events []*rules.Event) (depends []*round, duplicates int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(ctx); err != nil {
		return nil, 0, err
	}
	all := make([]kept, 0, len(events))
	for _, e := range events {
		if e.ID == "" {
			s.number++
			e.ID = s.opening + "-" + strconv.FormatUint(s.number, 10)
		}
		if e.At == 0 {
			e.At = s.clock()
		}
		payload, err := encode(e)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, kept{keyOf(payload), payload})
	}
	inFlight, inWaiting := false, false
	for _, k := range all {
		switch {
		case s.flying.has(k.key):
			inFlight = true
			duplicates++
		case s.waiting.has(k.key):
			inWaiting = true
			duplicates++
		case s.known.has(k.key):
			duplicates++
		default:
			inWaiting = true
			s.join(k)
		}
	}
	if inFlight {
		depends = append(depends, s.flying)
	}
	if inWaiting {
		depends = append(depends, s.waiting)
	}
	return depends, duplicates, nil
}

// room waits until the waiting round takes more. The lock is held before and after.
func (s *Sender) room(ctx context.Context) error {
	for {
		switch {
		case s.closed:
			return ErrClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.waiting == nil || s.waiting.bytes < maxRoundBytes:
			return nil
		}
		taken := s.waiting.taken
		s.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
}

// clock returns the time of this machine, which does not go back by less than
// maxStepBack. A larger step is a clock that was set: the node's estimate follows it, and
// so must the instants. The lock is held.
func (s *Sender) clock() rules.Instant {
	now := rules.Instant(s.cfg.Now().UnixNano())
	if now < s.lastAt && s.lastAt-now < maxStepBack {
		return s.lastAt
	}
	s.lastAt = now
	return now
}

// join puts an event into the waiting round. The lock is held.
func (s *Sender) join(k kept) {
	if s.waiting == nil {
		s.waiting = &round{keys: map[key]struct{}{}, taken: make(chan struct{}), done: make(chan struct{})}
		if s.flying == nil {
			s.committing.Go(s.commit)
		}
	}
	s.waiting.keys[k.key] = struct{}{}
	s.waiting.payloads = append(s.waiting.payloads, k.payload)
	s.waiting.bytes += len(k.payload)
}

// commit writes rounds until none waits.
func (s *Sender) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting != nil {
		r := s.waiting
		s.flying, s.waiting = r, nil
		close(r.taken)
		closed := s.clock() // every instant that is given from now on is this or later
		s.mu.Unlock()
		first, err := s.write(r.payloads)
		s.mu.Lock()
		// A crash here leaves events that are kept and that nobody was told of: the caller
		// gives them again, and they are known from the spool.
		s.flying = nil
		s.noteWrite(err)
		switch {
		case err == nil:
			for key := range r.keys {
				s.known.add(key)
			}
			s.landed = landed{first + uint64(len(r.payloads)) - 1, closed}
		case errors.Is(err, ErrFull):
			s.full += uint64(len(r.payloads))
		}
		r.err = err
		close(r.done)
		s.change()
	}
}

// noteWrite keeps and says that the disk takes nothing, or does again: once, as a full disk
// must not fill the log as well. The lock is held.
func (s *Sender) noteWrite(err error) {
	before := s.failing
	s.failing = ""
	if err != nil {
		s.failing = err.Error()
	}
	switch {
	case err != nil && before == "":
		s.log.Error("events cannot be kept and are refused", "err", err)
	case err == nil && before != "":
		s.log.Info("events can be kept again", "refused_for_want_of_space", s.full)
	}
}

// write appends a round to the spool. Where there is no space it removes what a node has
// and what is only kept to know it again, and tries once more.
func (s *Sender) write(payloads [][]byte) (first uint64, err error) {
	first, err = s.disk.Append(payloads)
	if !errors.Is(err, spool.ErrFull) {
		return first, err
	}
	if removed, _ := s.disk.Prune(s.marked(), s.cfg.Now(), 0); removed > 0 {
		first, err = s.disk.Append(payloads)
	}
	if errors.Is(err, spool.ErrFull) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	return first, err
}
