package demo

import (
	"context"
	"slices"
	"time"

	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/rules"
)

// How often a batch meets a fault that the story does not ask for, of 1,000. What the
// network does to its requests comes to that.
const (
	failoverOf1000 = 40
	strayOf1000    = 25
	shuffleOf1000  = 120
)

// backlogBatch is how many events a server sends at once when it is back.
const backlogBatch = 150

func (w *World) cutOff(s *server) bool {
	return s.region == "asia" && w.now >= epoch.Add(cutOffFrom) && w.now < epoch.Add(cutOffTo) && !w.ended()
}

// send lets a server send what happened since it last did.
func (w *World) send(ctx context.Context, s *server) error {
	home := w.nodes[s.region]
	events := s.take(w.now)
	if w.cutOff(s) {
		w.Faults.Buffered += len(events)
		s.kept = append(s.kept, events...)
		return nil
	}
	if err := w.sendBacklog(ctx, s, home); err != nil {
		return err
	}
	if s.name == "eu-1" && w.now == epoch.Add(spoolCrashAt) {
		home.crashAt.Store("accept.spooled")
	}
	if until, ok := w.astray(s, events); ok {
		w.Faults.Strays++
		s.strays = append(s.strays, stray{events, until})
		return w.deliver(ctx, s, home, nil, w.now)
	}
	if w.rng.IntN(1000) < shuffleOf1000 {
		w.Faults.Shuffled++
		events = slices.Clone(events)
		w.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
	if err := w.deliver(ctx, s, home, events, w.now); err != nil {
		return err
	}
	if w.rng.IntN(1000) < failoverOf1000 && w.calm() { // the answer was lost, and the server thinks that the node is gone
		other := w.nodes[map[string]string{"eu": "us", "us": "eu", "asia": "us"}[s.region]]
		w.Faults.Failovers++
		return w.deliver(ctx, s, other, events, w.now)
	}
	return nil
}

// calm reports whether a server may turn to another node: one that is silent there
// afterwards holds that node's watermark back for some time, which should be over
// when the hour is settled.
func (w *World) calm() bool {
	minute := w.now.Time().Minute()
	return minute >= 10 && minute <= 40
}

// astray says of the batch that a server sends now whether it gets lost on its way,
// and until when. One with a slain dragon in it does not: whatever the seed, the guild
// that is first as far as anybody knows is to be told in its hour.
func (w *World) astray(s *server, events []*audit.Event) (rules.Instant, bool) {
	if s.name == "us-3" && w.now > epoch.Add(strayFrom) && w.now <= epoch.Add(strayFrom+10*time.Minute) {
		return epoch.Add(strayTo), true
	}
	if w.ended() || w.rng.IntN(1000) >= strayOf1000 {
		return 0, false
	}
	if slices.ContainsFunc(events, func(m *audit.Event) bool { return m.Target == "dragon" }) {
		return 0, false
	}
	return w.now.Add(step * time.Duration(2+w.rng.IntN(7))), true
}

// sendBacklog sends what a server could not send before, and the strays that arrive
// now, in no good order.
func (w *World) sendBacklog(ctx context.Context, s *server, home *node) error {
	batches := slices.Collect(slices.Chunk(s.kept, backlogBatch))
	s.kept = nil
	s.strays = slices.DeleteFunc(s.strays, func(late stray) bool {
		if late.at > w.now && !w.ended() {
			return false
		}
		batches = append(batches, late.events)
		return true
	})
	w.rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	for _, events := range batches {
		if err := w.deliver(ctx, s, home, events, 0); err != nil {
			return err
		}
	}
	return nil
}
