package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/rules"
)

// server is a game server: it has a clock that is wrong, and keeps events until
// they are acknowledged.
type server struct {
	name   string
	region string
	offset time.Duration          // its clock is ahead of the true time by this
	asks   bool                   // it compares its clock with the node's; else the configured error applies
	far    time.Duration          // added to what a message takes each way
	key    string                 // what it may push with
	clocks map[string]measurement // by node

	events []*audit.Event // by when they happened
	next   int            // the first that has not left the game
	kept   []*audit.Event // could not be sent, oldest first
	strays []stray
}

// stray is a batch that lies about somewhere and arrives late.
type stray struct {
	events []*audit.Event
	at     rules.Instant // when it arrives
}

// newServers returns the world's servers. Their clocks are wrong by up to seconds.
func newServers(rng *rand.Rand) []*server {
	var servers []*server
	for _, region := range []struct {
		name string
		far  time.Duration
	}{{"eu", 0}, {"us", 4 * time.Millisecond}, {"asia", 12 * time.Millisecond}} {
		for i := range 3 {
			servers = append(servers, &server{
				name: fmt.Sprintf("%s-%d", region.name, i+1), region: region.name, far: region.far, asks: true,
				clocks: map[string]measurement{},
				offset: time.Duration(rng.Int64N(int64(9*time.Second))) - 4500*time.Millisecond,
			})
		}
	}
	old := servers[2] // knows nothing of clocks; its own is good
	old.asks, old.offset = false, 110*time.Millisecond
	return servers
}

// clock returns what the server's clock shows.
func (s *server) clock(t rules.Instant) rules.Instant { return t.Add(s.offset) }

// number puts the events in order and gives each what the server gives it.
func (s *server) number() {
	slices.SortStableFunc(s.events, func(a, b *audit.Event) int { return int(max(-1, min(1, a.Happened-b.Happened))) })
	for i, m := range s.events {
		m.Seq = uint64(i + 1)
		if m.ID == "" {
			m.ID = fmt.Sprintf("%06d", i+1)
		}
		if m.At == 0 {
			m.At = s.clock(m.Happened)
		}
		if m.Rival {
			m.ID = s.events[0].ID
		}
	}
}

// take returns what happened before now and has not left the game.
func (s *server) take(now rules.Instant) []*audit.Event {
	from := s.next
	for s.next < len(s.events) && s.events[s.next].Happened < now {
		s.next++
	}
	return s.events[from:s.next:s.next]
}
