package httpapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"photofinish/ingest"
	"photofinish/ingest/keys"
	"photofinish/rules"
)

// gameServer is a sender with a clock of its own.
type gameServer struct {
	*api
	name  string
	key   string
	skew  time.Duration
	drift float64 // how much faster its clock runs
	last  string  // the header of its previous exchange
	sent  int
}

func (a *api) server(name string, skew time.Duration, drift float64) *gameServer {
	a.Helper()
	return &gameServer{api: a, name: name, skew: skew, drift: drift, key: a.addKey(keys.Grant{Role: keys.RoleServer, Server: name, Region: "eu", Timezone: "UTC"})}
}

// clock is what its clock shows at a true instant.
func (s *gameServer) clock(at time.Time) time.Time {
	since := at.Sub(noon)
	return noon.Add(s.skew + since + time.Duration(float64(since)*s.drift))
}

// exchange sends kills that happened at those instants, with a delay there and back.
func (s *gameServer) exchange(there, back time.Duration, happened ...time.Time) {
	s.Helper()
	var lines strings.Builder
	for _, at := range happened {
		s.sent++
		fmt.Fprintf(&lines, `{"id":"%d","type":"kill","at":"%s","player":"p","seq":%d}`+"\n", s.sent, s.clock(at).Format(time.RFC3339Nano), s.sent)
	}
	headers := []string{"Content-Type: " + mediaNDJSON, "Authorization: Bearer " + s.key}
	if s.last != "" {
		headers = append(headers, headerClock+": "+s.last)
	}
	t1 := s.clock(s.now()).UnixNano()
	s.advance(there)
	v := s.do(request(http.MethodPost, pathEvents, strings.NewReader(lines.String()), headers...), lines.String())
	v.want(s, http.StatusOK, len(happened), 0, 0)
	s.advance(back)
	s.last = fmt.Sprintf("%d,%s,%s,%d", t1, v.header.Get(headerReceived), v.header.Get(headerSent), s.clock(s.now()).UnixNano())
}

// stage is an Acceptor without a disk that takes everything, after some time.
type stage struct {
	a    *api
	took time.Duration
}

func (s stage) Accept(_ context.Context, b ingest.Batch) (ingest.Result, error) {
	s.a.advance(s.took)
	return ingest.Result{Accepted: len(b.Events)}, nil
}

// Clocks that are up to an hour wrong and run fast or slow, delays that lie all on one way
// and jump from a millisecond to seconds, events that waited for an hour: where an event
// is said to have happened, there it happened, every time.
func TestTrueInstantIsWithin(t *testing.T) {
	for i, skew := range []time.Duration{0, 1300 * time.Millisecond, -40 * time.Second, time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			a := newAPI(t, Config{})
			random := rand.New(rand.NewPCG(1, uint64(i)))
			a.node.Acceptor = stage{a, 3 * time.Millisecond}
			s := a.server("eu-7", skew, (random.Float64()-0.5)*2*100e-6)
			s.exchange(time.Second, 0) // the first has no estimate yet, and no events
			narrow := 0
			for range 150 {
				slow := time.Duration(random.ExpFloat64() * float64(200*time.Millisecond))
				fast := time.Duration(random.IntN(int(2 * time.Millisecond)))
				there, back := slow, fast
				if random.IntN(2) == 0 {
					there, back = fast, slow
				}
				var happened []time.Time
				for range random.IntN(4) {
					happened = append(happened, a.now().Add(-time.Duration(random.ExpFloat64()*float64(5*time.Second))))
				}
				if random.IntN(20) == 0 { // it was cut off
					happened = append(happened, a.now().Add(-time.Hour))
				}
				s.exchange(there, back, happened...)
				a.advance(time.Duration(random.IntN(int(20 * time.Second))))
				if len(happened) == 0 {
					continue
				}
				b := a.node.last(t)
				for n, at := range happened {
					instant := b.Events[n].At.Add(time.Duration(b.Clock.OffsetNs))
					off := int64(instant) - at.UnixNano()
					if errNs := b.Clock.ErrAt(instant); off > errNs || -off > errNs {
						t.Fatalf("an event of %s ago is said to be off by %d ns and is off by %d", a.now().Sub(at), errNs, off)
					} else if errNs < int64(20*time.Millisecond) {
						narrow++
					}
				}
			}
			if narrow == 0 {
				t.Error("no event at all was placed within 20 ms: the estimates are of no use")
			}
		})
	}
}

// A server whose clock is an hour ahead is refused its future until it has exchanged
// clocks once; that costs it an empty body.
func TestSkewedServerGetsIn(t *testing.T) {
	a := newAPI(t, Config{})
	s := a.server("eu-7", time.Hour, 0)
	line := fmt.Sprintf(`{"id":"1","type":"kill","at":"%s","player":"p"}`, s.clock(noon).Format(time.RFC3339))
	v := a.do(request(http.MethodPost, pathEvents, strings.NewReader(line), "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+s.key), line)
	v.want(t, http.StatusOK, 0, 0, 1)
	s.exchange(time.Millisecond, time.Millisecond)
	s.exchange(time.Millisecond, time.Millisecond, noon)
}

// header is an exchange as the server of that skew sees it, which ends at the instant.
func header(at time.Time, skew, there, back time.Duration) string {
	t3 := at.Add(-back)
	t1 := t3.Add(-there)
	return fmt.Sprintf("%d,%d,%d,%d", t1.Add(skew).UnixNano(), t3.UnixNano(), t3.UnixNano(), at.Add(skew).UnixNano())
}

// The narrowest of the exchanges is kept until it has grown vague, one that it contradicts
// replaces it at once, and an older one changes nothing.
func TestKeptExchange(t *testing.T) {
	c := newClocks()
	at := noon
	learn := func(after, skew, roundTrip time.Duration) {
		t.Helper()
		at = at.Add(after)
		if !c.learn("a", header(at, skew, roundTrip/2, roundTrip/2), at) {
			t.Fatalf("%s after: not taken", at.Sub(noon))
		}
	}
	want := func(skew, off time.Duration) {
		t.Helper()
		got := c.of("a", at)
		wrong := time.Duration(got.OffsetNs) + skew
		// Half a microsecond for the drift while the exchange lasted and what came after.
		if errNs := time.Duration(got.ErrNs); wrong.Abs() > time.Microsecond || errNs < off || errNs > off+500*time.Microsecond {
			t.Fatalf("kept is an offset of %s ± %s, want %s ± %s", time.Duration(got.OffsetNs), errNs, -skew, off)
		}
	}
	if c.of("a", at) != nil {
		t.Error("an unknown server has a clock")
	}
	learn(0, time.Second, 100*time.Millisecond)
	want(time.Second, 50*time.Millisecond)
	learn(time.Second, time.Second, 20*time.Millisecond)
	want(time.Second, 10*time.Millisecond)
	narrow := *c.of("a", at)
	learn(time.Second, time.Second, 200*time.Millisecond) // slow, and so of no use
	if *c.of("a", at) != narrow {
		t.Errorf("a slow exchange replaced a narrow one by %+v", c.of("a", at))
	}
	learn(10*time.Minute, time.Second, 200*time.Millisecond) // the narrow one is ± 130 ms by now
	want(time.Second, 100*time.Millisecond)
	learn(time.Second, -time.Minute, 400*time.Millisecond) // the clock was set: vaguer, and true
	want(-time.Minute, 200*time.Millisecond)
	if !c.learn("a", header(at.Add(-time.Hour), time.Second, 0, 0), at) { // sent again from before
		t.Error("an old exchange is refused")
	}
	want(-time.Minute, 200*time.Millisecond)
}

// What is no exchange is ignored and counted, and the events go on.
func TestHostileClock(t *testing.T) {
	a := newAPI(t, Config{})
	ns := noon.UnixNano()
	n := func(ns ...int64) string {
		var parts []string
		for _, v := range ns {
			parts = append(parts, strconv.FormatInt(v, 10))
		}
		return strings.Join(parts, ",")
	}
	hostile := []string{
		"x", "1,2,3", "1,2,3,4,5", "0,0,0,0", "-1,-1,-1,-1", strings.Repeat("1", 10_000), ",,,", "NaN,1,1,1",
		"9223372036854775808,1,1,1", n(ns, ns, ns-1, ns), n(ns, ns, ns, ns-1), n(ns, ns-10, ns+100, ns+50),
		n(int64(rules.MinInstant), ns, ns, int64(rules.MinInstant)), n(int64(rules.MaxInstant), ns, ns, int64(rules.MaxInstant)),
		n(ns, ns+2e9, ns+2e9, ns+4e9), // the node has not yet said this
	}
	for i, text := range hostile {
		v := a.push(kill, headerClock+": "+text)
		v.want(t, http.StatusOK, max(0, 1-i), min(1, i), 0)
		if b := a.node.last(t); b.Clock != nil || a.refused[IgnoredClock] != i+1 {
			t.Fatalf("%.60q: estimated %+v, %d ignored", text, b.Clock, a.refused[IgnoredClock])
		}
	}
	v := a.push(kill, headerClock+": "+n(ns, ns, ns, ns))
	v.want(t, http.StatusOK, 0, 1, 0)
	if a.node.last(t).Clock == nil {
		t.Error("a good one is ignored")
	}
}

// A node whose clock was ahead and is set back believes nothing that it measured then: all
// that its servers send would lie in its future and be refused.
func TestNodeClockIsSetBack(t *testing.T) {
	c := newClocks()
	ahead := noon.Add(time.Hour)
	if !c.learn("a", header(ahead, -time.Hour, 0, 0), ahead) || c.of("a", ahead) == nil {
		t.Fatal("an exchange is not taken")
	}
	if clock := c.of("a", noon); clock != nil {
		t.Errorf("what was measured with the clock ahead is believed: %+v", clock)
	}
	if !c.learn("a", header(noon, 0, 0, 0), noon) || c.of("a", noon).OffsetNs != 0 {
		t.Errorf("a new exchange is taken as %+v", c.of("a", noon))
	}
}
