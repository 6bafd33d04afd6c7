package sender

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"photofinish/rules"
)

// beat is the newest heartbeat that somebody gave to this sender, and what was told.
type beat struct {
	given  rules.Instant // 0: none; all that had landed then, stands before it
	told   rules.Instant // the highest that a node has
	next   time.Time     // when one is due, of those that the sender makes
	number uint64
}

// Heartbeat says that everything which happened before at was given to Accept. It is
// told to a node behind all of that, in the next request, and not kept: a crash takes it.
// It returns once what was given before is on disk; if that fails, so does it.
func (s *Sender) Heartbeat(ctx context.Context, at rules.Instant) error {
	if at < rules.MinInstant || at >= rules.MaxInstant {
		return fmt.Errorf("heartbeat: at %s is outside the years 2000 to 2199", at)
	}
	s.mu.Lock()
	newest := s.waiting
	if newest == nil {
		newest = s.flying
	}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return fmt.Errorf("heartbeat: %w", ErrClosed)
	}
	if newest != nil {
		if err := newest.wait(ctx); err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat.given = max(s.beat.given, at)
	s.change()
	return nil
}

// heartbeat returns the instant of the heartbeat that may stand behind everything that has
// landed, 0 if there is none, and whether it is reason enough for a request. What has not
// landed was given later, and its instants are no earlier. The lock is held.
func (s *Sender) heartbeat(now time.Time) (at rules.Instant, due bool) {
	if s.beat.given > s.beat.told {
		at, due = s.beat.given, true
	}
	if s.cfg.Heartbeat < 0 {
		return at, due
	}
	own := s.landed.clock
	if s.waiting == nil && s.flying == nil {
		own = s.clock()
	}
	if own == 0 {
		return at, due
	}
	return max(at, own), due || !now.Before(s.beat.next)
}

// What a heartbeat tells of this sender in its attributes, as a node cannot know it.
const (
	// attrFull counts the events that were refused for want of space since the opening,
	// which the heartbeat's id names: telling it twice counts it once.
	attrFull = "full"
	// attrVoid lists spans of seq, such as 7-9,20-20, that were given to no event: after
	// a crash the numbers go on above those that may have been used.
	attrVoid = "void"
	// maxVoid bounds the spans that are told, the last ones, so that a node takes the value:
	// see ingest.MaxAttrValueBytes.
	maxVoid = 20
)

// appendBeat appends a heartbeat as a line.
func (s *Sender) appendBeat(b []byte, at rules.Instant, number, full uint64) ([]byte, error) {
	w := wireEvent{ID: s.opening + "-h" + strconv.FormatUint(number, 10), Type: rules.TypeHeartbeat, At: at}
	w.Attrs = map[string]string{}
	if full > 0 {
		w.Attrs[attrFull] = strconv.FormatUint(full, 10)
	}
	if void := s.disk.Void(); len(void) > 0 {
		var spans []string
		for _, v := range void[max(0, len(void)-maxVoid):] {
			spans = append(spans, fmt.Sprintf("%d-%d", v.First, v.Last))
		}
		w.Attrs[attrVoid] = strings.Join(spans, ",")
	}
	line, err := w.encode()
	if err != nil {
		return b, errors.Join(errors.New("make a heartbeat"), err)
	}
	return append(append(b, line...), '\n'), nil
}
