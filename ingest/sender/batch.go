package sender

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

const (
	// maxBatchBytes and maxBatchEvents bound a request before it is packed: well below
	// what a node takes, so that a slow line gets through with one in seconds.
	maxBatchBytes  = 1 << 20
	maxBatchEvents = 5000

	// linger is the least time between the beginnings of two requests: what comes
	// meanwhile goes together.
	linger = 100 * time.Millisecond
)

// batch is one request: events in the order of the spool, then perhaps a heartbeat. It
// does not change until it is answered.
type batch struct {
	upTo    uint64   // the spool's offsets up to here are in this batch, or before it
	offsets []uint64 // of the events, by line
	ends    []int    // in body, of each line; one more than offsets with a heartbeat
	body    []byte
	packed  []byte        // body by gzip; nil: not yet
	beat    rules.Instant // of the heartbeat; 0: none
}

func (b *batch) line(i int) []byte {
	from := 0
	if i > 0 {
		from = b.ends[i-1]
	}
	return bytes.TrimSuffix(b.body[from:b.ends[i]], []byte{'\n'})
}

// pack returns the body by gzip.
func (b *batch) pack() ([]byte, error) {
	if b.packed != nil {
		return b.packed, nil
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = z.Write(b.body)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack a request: %w", err)
	}
	b.packed = out.Bytes()
	return b.packed, nil
}

// halves divides a batch of at least two lines. The heartbeat stays behind everything.
func (b *batch) halves() []*batch {
	half := len(b.ends) / 2
	cut := b.ends[half-1]
	first := &batch{upTo: b.offsets[half-1], offsets: b.offsets[:half], ends: b.ends[:half], body: b.body[:cut]}
	second := &batch{upTo: b.upTo, offsets: b.offsets[half:], body: b.body[cut:], beat: b.beat}
	for _, end := range b.ends[half:] {
		second.ends = append(second.ends, end-cut)
	}
	return []*batch{first, second}
}

// next waits until there is something to send and returns it. What it returns reaches as
// far as the spool does, or is full; only in the first case may a heartbeat stand behind.
func (s *Sender) next(ctx context.Context) (*batch, error) {
	for {
		s.mu.Lock()
		now := s.cfg.Now()
		at, due := s.heartbeat(now)
		from, end := s.acked+1, s.landed.end
		full, number := s.full, s.beat.number+1
		changed, wait := s.changed, s.beat.next.Sub(now)
		s.mu.Unlock()
		if end >= from || due {
			if early := linger - now.Sub(s.began); 0 < early && early <= linger && end-from+1 < maxBatchEvents {
				if err := s.pause(ctx, early); err != nil {
					return nil, err
				}
				continue
			}
			return s.build(from, end, at, number, full)
		}
		if s.cfg.Heartbeat < 0 {
			wait = s.cfg.Patience // nothing is due then; the time only bounds the waiting
		}
		timer := time.NewTimer(max(wait, linger))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// build reads a batch from the spool.
func (s *Sender) build(from, end uint64, at rules.Instant, number, full uint64) (*batch, error) {
	b := &batch{upTo: end}
	if from <= end {
		err := s.disk.Read(from, func(offset uint64, payload []byte) error {
			if offset > end {
				return spool.ErrStop
			}
			if len(b.offsets) == maxBatchEvents || len(b.body)+len(payload)+seqBytes > maxBatchBytes {
				b.upTo = offset - 1
				return spool.ErrStop
			}
			b.body = appendLine(b.body, offset, payload)
			b.offsets, b.ends = append(b.offsets, offset), append(b.ends, len(b.body))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read what is to be sent: %w", err)
		}
	}
	if at != 0 && b.upTo == end {
		var err error
		if b.body, err = s.appendBeat(b.body, at, number, full); err != nil {
			return nil, err
		}
		b.ends, b.beat = append(b.ends, len(b.body)), at
	}
	return b, nil
}

// pause waits, unless ctx ends before.
func (s *Sender) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
