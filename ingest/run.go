package ingest

import (
	"context"
	"math/rand/v2"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// How Run paces itself.
const (
	beat     = time.Minute      // a node speaks at least so often, or is not believed
	gap      = time.Second      // from one Forward to the next, at least
	maxPause = 30 * time.Second // after a failed one, at most
)

// Status is how a node stands.
type Status struct {
	Node      string
	Last      uint64 // the highest offset on its disk; 0: none, or it is not open
	Forwarded uint64 // the highest that it has published
	Bytes     int64  // that its spool took on the disk at the last Forward
	Watermark rules.Instant
	Regions   []rules.RegionMark
	Silent    []rules.SilentServer
	Lost      []rules.Span
	Void      []rules.Span
	Err       error     // of the last Forward; nil: it went well, or there was none
	At        time.Time // of the last Forward that went well; zero: there was none
}

// Status returns how the node stands, as far as it has published since it was opened. It
// neither reads nor waits for a disk or the log.
func (n *Node) Status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.status
	s.Node = n.cfg.Node
	if n.spool != nil {
		s.Last = n.spool.Last()
	}
	return s
}

// said notes a row of progress that was published.
func (n *Node) said(w *word) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &n.status
	s.Forwarded, s.Watermark = w.offset, rules.Instant(w.mark.ns)
	s.Regions, s.Silent, s.Lost, s.Void = w.mark.regions, w.mark.silent, w.lost, w.void
}

// forwarded notes how a Forward ended.
func (n *Node) forwarded(s *spool.Spool, err error) {
	bytes, weighed := s.Bytes()
	n.mu.Lock()
	defer n.mu.Unlock()
	if weighed == nil {
		n.status.Bytes = bytes
	}
	n.status.Err = err
	if err == nil {
		n.status.At = n.now()
	}
}

// wakeUp tells Run that there is something new.
func (n *Node) wakeUp() {
	select {
	case n.news <- struct{}{}:
	default: // it has been told
	}
}

// Run forwards until ctx is done, and returns the cause: when there is something new, at
// most once a second, and at least once a minute. While that fails it is tried again after
// pauses that grow to half a minute; events are taken in all the same.
func (n *Node) Run(ctx context.Context) error {
	return n.run(ctx, n.Forward)
}

func (n *Node) run(ctx context.Context, forward func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go n.stayAwake(ctx)
	failures := 0
	for {
		select {
		case <-n.news: // what has come until now is forwarded now
		default:
		}
		err := forward(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			if failures == 0 {
				n.log.WarnContext(ctx, "forwarding fails and is tried again", "err", err)
			}
			failures++
			pause(ctx, rand.N(pauseAfter(failures)), nil)
		default:
			if failures > 0 {
				n.log.InfoContext(ctx, "forwarding goes on", "failures", failures)
			}
			failures = 0
			pause(ctx, gap, nil)
			pause(ctx, beat-gap, n.news)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// pause waits for a time, for news, or for the end of ctx.
func pause(ctx context.Context, d time.Duration, news <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-news:
	case <-ctx.Done():
	}
}

// pauseAfter returns the longest pause after so many failures in a row.
func pauseAfter(failures int) time.Duration {
	return min(maxPause, gap<<min(failures, 10)) //nolint:mnd // beyond ten it is maxPause anyhow
}
