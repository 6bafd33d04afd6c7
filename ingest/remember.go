package ingest

import (
	"context"
	"fmt"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// rememberBytes bounds what Open reads of the spool to know duplicates again, beside
// Config.Recent. What it leaves out is found in the log once it is there, and what is not
// there yet would at worst be kept twice.
const rememberBytes = 32 << 20

// remember reads the last records of the spool, so that what was accepted before a restart
// is known when it is sent again, and all that came since the reports of servers were
// saved; where none were, as far as it reads anyhow.
func (n *Node) remember(s *spool.Spool, known *recent, marks *watermarks, whole bool) error {
	segments := s.Segments()
	if len(segments) == 0 {
		return nil
	}
	oldest, last := segments[0].First, s.Last()
	from := last + 1
	bytes := int64(0)
	for i := len(segments) - 1; i >= 0 && bytes < rememberBytes; i-- {
		from, bytes = segments[i].First, bytes+segments[i].Bytes
	}
	if recent := uint64(n.cfg.Recent); last > recent {
		from = max(from, last-recent+1)
	}
	begin := from
	if whole {
		begin = max(oldest, min(from, marks.End+1))
	}
	return s.Read(begin, func(offset uint64, payload []byte) error {
		r, err := readRecord(payload)
		if err != nil {
			return fmt.Errorf("offset %d: %w", offset, err)
		}
		if offset > marks.End {
			received := time.Unix(0, r.receivedNs)
			if r.imported {
				marks.imported(r.Region, r.Earliest, received)
			} else {
				marks.reported(r.Server, reportOf(&r, received))
			}
		}
		if offset >= from {
			known.add(identityKey(r.Server, r.ID), r.Content, offset)
		}
		return nil
	})
}

// snapshot returns the end of the spool and what servers have reported up to it. Both are
// read together: a promise holds once everything up to that end is in the log.
// Rounds of which the spool knows already and the node does not yet only make the promise
// smaller.
func (n *Node) snapshot(s *spool.Spool) (end uint64, marks watermarks) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.awake != 0 {
		n.wasAsleep()
	}
	end = s.Last()
	marks = n.marks.clone()
	marks.End = n.end
	return end, marks
}

// saveMarks writes what servers have reported to the spool's folder. Failing to do so costs
// nothing but work at the next start.
func (n *Node) saveMarks(s *spool.Spool) {
	_, marks := n.snapshot(s)
	err := marks.save(n.cfg.folder())
	n.mu.Lock()
	before := n.marksErr
	n.marksErr = err
	n.mu.Unlock()
	if err != nil && before == nil {
		n.log.Warn("what servers reported was not saved", "err", err)
	}
}

// forget drops servers that were silent for very long, unless they have spoken since, and
// what was held for others, once all had the time to speak.
func (n *Node) forget(names []string, before *watermarks, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.UnixNano()-n.marks.started > int64(n.cfg.SilentAfter) {
		n.marks.Held = nil
	}
	for _, name := range names {
		if n.marks.Servers[name].HeardNs == before.Servers[name].HeardNs {
			delete(n.marks.Servers, name)
		}
	}
}

// lose takes places that are lost out of what is known: their events are new if they
// come again.
func (n *Node) lose(lost []rules.Span) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.lost
	n.lost = n.lost.with(lost...)
	if n.lost.count() > before.count() {
		n.recent.forget(n.lost)
	}
}

// wasAsleep notes that the process runs. Where it did not for some time, as on a machine
// that was suspended, that time is nobody's silence, as if it had been started again. The
// node is locked.
func (n *Node) wasAsleep() {
	now := n.now().UnixNano()
	if n.awake != 0 && now-n.awake > int64(beat) {
		n.marks.started = now
	}
	n.awake = now
}

// stayAwake looks, until ctx is done, whether the process runs.
func (n *Node) stayAwake(ctx context.Context) {
	for ctx.Err() == nil {
		n.mu.Lock()
		n.wasAsleep()
		n.mu.Unlock()
		pause(ctx, gap, nil)
	}
}
