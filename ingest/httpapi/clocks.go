package httpapi

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"photofinish/ingest"
	"photofinish/rules"
)

// maxAhead is how far the node's part of an exchange may be ahead of its clock: another
// node may have answered, and nodes differ by a little.
const maxAhead = time.Second

// clocks is what is known of the servers' clocks: for each server the one exchange that
// says most today. Each exchange says that the offset lies within half its round trip of
// its middle, however the delay was divided, so a slow network makes it vague and never
// wrong; and each grows vaguer with its age, since clocks part (ingest.DriftPPM). Of all
// that are true the narrowest is kept.
//
// A newer exchange that cannot be true together with the kept one replaces it: the clock
// was set. A step that is smaller than what the newer one leaves open is not seen until
// one comes that is narrower; this is the price of not believing a slow network.
//
// The zero value is not ready; see newClocks.
type clocks struct {
	mu   *sync.Mutex
	kept map[string]ingest.Clock // by server; only servers with a key come here
}

func newClocks() clocks { return clocks{new(sync.Mutex), map[string]ingest.Clock{}} }

// learn takes the header t1,t2,t3,t4 of a server's previous exchange. It reports false,
// and changes nothing, where that is none.
func (c *clocks) learn(server, header string, now time.Time) bool {
	t, ok := fourTimes(header)
	if !ok || t[2] > now.Add(maxAhead).UnixNano() {
		return false
	}
	newer, err := ingest.EstimateClock(t[0], t[1], t[2], t[3])
	if err != nil {
		return false
	}
	newer.MeasuredNs = t[2]
	// The clocks have also parted while the exchange lasted.
	newer.ErrNs = newer.ErrAt(rules.Instant(t[2] + t[3] - t[0]))
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, known := c.believed(server, now)
	if known && newer.MeasuredNs <= kept.MeasuredNs {
		return true // older than what is known, or the same again
	}
	keptErr := kept.ErrAt(rules.Instant(newer.MeasuredNs))
	apart := newer.OffsetNs - kept.OffsetNs
	contradicts := apart > keptErr+newer.ErrNs || -apart > keptErr+newer.ErrNs
	if !known || contradicts || newer.ErrNs <= keptErr {
		c.kept[server] = newer
	}
	return true
}

// of returns what is known of a server's clock at now; nil: nothing.
func (c *clocks) of(server string, now time.Time) *ingest.Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	if clock, known := c.believed(server, now); known {
		return &clock
	}
	return nil
}

// believed returns what is kept of a server's clock, unless it was measured later than now:
// then the node's own clock was ahead and has been set back, and what it said is no
// measure of anything, but would go before all that is measured until then.
func (c *clocks) believed(server string, now time.Time) (kept ingest.Clock, known bool) {
	kept, known = c.kept[server]
	if known && kept.MeasuredNs > now.Add(maxAhead).UnixNano() {
		delete(c.kept, server)
		return ingest.Clock{}, false
	}
	return kept, known
}

func fourTimes(header string) (t [4]int64, ok bool) {
	const longest = 4*len("-9223372036854775808") + 3*len(", ")
	if len(header) > longest {
		return t, false
	}
	parts := strings.Split(header, ",")
	if len(parts) != len(t) {
		return t, false
	}
	for i, part := range parts {
		var err error
		if t[i], err = strconv.ParseInt(strings.TrimSpace(part), 10, 64); err != nil {
			return t, false
		}
	}
	return t, true
}
