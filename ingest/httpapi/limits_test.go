package httpapi

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"photofinish/ingest/keys"
)

// A key that sends too often is told when to come again, and costs the others nothing.
func TestRate(t *testing.T) {
	a := newAPI(t, Config{Rate: 0.5}) // one at once, then one every two seconds
	other := a.addKey(keys.Grant{Role: keys.RoleServer, Server: "us-1", Region: "us", Timezone: "UTC"})
	v := a.push("")
	v.want(t, http.StatusOK, 0, 0, 0)
	v = a.do(request(http.MethodPost, pathEvents, unread{t}, "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+a.key), "")
	v.refused(t, http.StatusTooManyRequests, "more events into each")
	if v.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After is %q", v.header.Get("Retry-After"))
	}
	v = a.do(request(http.MethodPost, pathEvents, strings.NewReader(kill), "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+other), kill)
	v.want(t, http.StatusOK, 1, 0, 0)
	a.advance(2*time.Second - 1)
	v = a.push("")
	v.refused(t, http.StatusTooManyRequests, "")
	a.advance(1)
	v = a.push("")
	v.want(t, http.StatusOK, 0, 0, 0)
}

// A bucket lets its burst pass at once and then one for each interval, whatever was tried
// in between.
func TestBucket(t *testing.T) {
	var b bucket
	passed := 0
	for i := range 1000 {
		if b.take(noon.Add(time.Duration(i)*10*time.Millisecond), time.Second, 5) == 0 {
			passed++
		}
	}
	if passed != 5+9 { // in 9.99 s
		t.Errorf("%d passed", passed)
	}
	if wait := b.take(noon.Add(9990*time.Millisecond), time.Second, 5); wait != 10*time.Millisecond {
		t.Errorf("the next has to wait %s", wait)
	}
}

// slow is a body that gives its text and then nothing until it is closed.
type slow struct {
	io.Reader
	text string
	more chan struct{}
	here chan struct{} // closed when the text was read
}

func newSlow(text string) *slow {
	return &slow{text: text, more: make(chan struct{}), here: make(chan struct{})}
}

func (s *slow) Read(p []byte) (int, error) {
	if s.text != "" {
		n := copy(p, s.text)
		s.text = s.text[n:]
		return n, nil
	}
	close(s.here)
	<-s.more
	return 0, io.EOF
}

// hold starts a request whose body does not end; end ends it.
func (a *api) hold(key string, announced int64) (end func()) {
	a.Helper()
	body, done := newSlow("\n"), make(chan verdict)
	r := request(http.MethodPost, pathEvents, body, "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+key)
	r.ContentLength = announced
	go func() { done <- a.do(r, "\n") }()
	<-body.here
	return func() {
		a.Helper()
		close(body.more)
		v := <-done
		v.want(a, http.StatusOK, 0, 0, 0)
	}
}

// The bodies that are on their way are bounded, of one key and of all, and a slow sender
// holds what it has sent and not what it announced.
func TestBodiesOnTheirWay(t *testing.T) {
	a := newAPI(t, Config{KeyBodies: 2, Bodies: 3})
	other := a.addKey(keys.Grant{Role: keys.RoleServer, Server: "us-1", Region: "us", Timezone: "UTC"})
	third := a.addKey(keys.Grant{Role: keys.RoleServer, Server: "us-2", Region: "us", Timezone: "UTC"})
	ends := []func(){a.hold(a.key, a.cfg.MaxBody), a.hold(a.key, -1)}
	v := a.push(kill)
	v.refused(t, http.StatusTooManyRequests, "of this key are on their way")
	ends = append(ends, a.hold(other, -1))
	v = a.do(request(http.MethodPost, pathEvents, unread{t}, "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+third), "")
	v.refused(t, http.StatusServiceUnavailable, "too many requests")
	if v.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", v.header.Get("Retry-After"))
	}
	a.limits.mu.Lock()
	held := a.limits.bytes
	a.limits.mu.Unlock()
	if held > firstBytes+3*leastBytes {
		t.Errorf("three bytes hold %d", held)
	}
	for _, end := range ends {
		end()
	}
	v = a.push(kill)
	v.want(t, http.StatusOK, 1, 0, 0)
	if a.limits.bodies != 0 || a.limits.bytes != 0 {
		t.Errorf("%d bodies and %d bytes are still held", a.limits.bodies, a.limits.bytes)
	}
}

// The bytes on their way are bounded, of one key and of all; a body alone always fits.
func TestBytesOnTheirWay(t *testing.T) {
	l := newLimits(&Config{Rate: 1000, KeyBodies: 10, Bodies: 10, InFlight: 1000, MaxBody: 100})
	admit := func(id string) *lease {
		lease, err := l.admit(id, noon)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	first := admit("a")
	if err := first.hold(250); err != nil {
		t.Fatal(err)
	}
	if err := admit("a").hold(1); !isRefusal(err, http.StatusTooManyRequests) {
		t.Errorf("one more of the same key: %v", err)
	}
	for _, id := range []string{"b", "c", "d"} {
		if err := admit(id).hold(249); err != nil {
			t.Fatal(err)
		}
	}
	e := admit("e")
	if err := e.hold(4); !isRefusal(err, http.StatusServiceUnavailable) {
		t.Errorf("more than all may: %v", err)
	}
	first.release()
	if err := e.hold(4); err != nil {
		t.Error(err)
	}
}

func isRefusal(err error, status int) bool {
	why, ok := err.(*refusal) //nolint:errorlint // it is never wrapped
	return ok && why.status == status
}

// Who sends wrong keys is told to stay away, by address; who has the right one at the
// same address is not.
func TestWrongKeys(t *testing.T) {
	a := newAPI(t, Config{})
	wrong := func(from string) int {
		r := request(http.MethodPost, pathEvents, unread{t}, "Content-Type: "+mediaNDJSON, "Authorization: Bearer pf_wrong")
		r.RemoteAddr = from
		v := a.do(r, "")
		return v.status
	}
	for range wrongBurst {
		if status := wrong("[2001:db8::1]:1"); status != http.StatusUnauthorized {
			t.Fatalf("answered %d", status)
		}
	}
	if status := wrong("[2001:db8::ffff:2]:2"); status != http.StatusTooManyRequests {
		t.Errorf("another address of the same network is answered %d", status)
	}
	if status := wrong("192.0.2.1:3"); status != http.StatusUnauthorized {
		t.Errorf("another network is answered %d", status)
	}
	r := request(http.MethodPost, pathEvents, strings.NewReader(kill), "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+a.key)
	r.RemoteAddr = "[2001:db8::1]:9"
	v := a.do(r, kill)
	v.want(t, http.StatusOK, 1, 0, 0)
	a.advance(time.Second)
	if status := wrong("[2001:db8::1]:1"); status != http.StatusUnauthorized {
		t.Errorf("a second later it is answered %d", status)
	}
}

// Any number of addresses is counted in bounded memory, and those beyond together.
func TestManyAddresses(t *testing.T) {
	w := NewWrongKeys()
	refused := 0
	for i := range maxAddresses + 1000 {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if w.count(address, noon) > 0 {
			refused++
		}
	}
	if len(w.of) != maxAddresses || refused != 1000-wrongBurst {
		t.Errorf("%d addresses, %d refused", len(w.of), refused)
	}
	if w.count(netip.Addr{}, noon.Add(time.Hour)) > 0 || len(w.of) != 1 {
		t.Errorf("an hour later there are %d addresses", len(w.of))
	}
}

// Unpacking bodies that turn out too large costs a processor. Who sends one after the other
// is told to stay away with packed ones before they are read; what it sends unpacked is
// taken, and nobody else is held up.
func TestManyBombs(t *testing.T) {
	for _, encoding := range []string{"gzip", "zstd"} {
		a := newAPI(t, Config{MaxBody: 64 << 10})
		other := a.addKey(keys.Grant{Role: keys.RoleServer, Server: "us-1", Region: "us", Timezone: "UTC"})
		bomb := packed(t, encoding, strings.Repeat("\n", 1<<20))
		good := packed(t, encoding, kill)
		send := func(key string, body io.Reader) verdict {
			return a.do(request(http.MethodPost, pathEvents, body, "Content-Type: "+mediaNDJSON, "Content-Encoding: "+encoding, "Authorization: Bearer "+key), "")
		}
		for range bombBurst {
			v := send(a.key, strings.NewReader(bomb))
			v.refused(t, http.StatusRequestEntityTooLarge, "unpacked")
		}
		v := send(a.key, unread{t})
		v.refused(t, http.StatusTooManyRequests, "not packed")
		if v.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", v.header.Get("Retry-After"))
		}
		v = a.push(kill)
		v.want(t, http.StatusOK, 1, 0, 0)
		v = send(other, strings.NewReader(good))
		v.want(t, http.StatusOK, 1, 0, 0)
		a.advance(bombEvery)
		v = send(a.key, strings.NewReader(good))
		v.want(t, http.StatusOK, 0, 1, 0)
		v = send(a.key, strings.NewReader(bomb)) // a good one has cost nothing
		v.refused(t, http.StatusRequestEntityTooLarge, "unpacked")
		v = send(a.key, unread{t})
		v.refused(t, http.StatusTooManyRequests, "not packed")
	}
}

// Nor are those unpacked that have come before the first of them turned out too large.
func TestManyBombsAtOnce(t *testing.T) {
	a := newAPI(t, Config{MaxBody: 64 << 10})
	bomb := packed(t, "gzip", strings.Repeat("\n", 1<<20))
	var held []*decoders // so that all have to wait
	for range cap(a.unpack.idle) {
		held = append(held, <-a.unpack.idle)
	}
	const senders = 100
	status := make(chan int, senders)
	for range senders {
		go func() {
			v := a.do(request(http.MethodPost, pathEvents, strings.NewReader(bomb), "Content-Type: "+mediaNDJSON, "Content-Encoding: gzip", "Authorization: Bearer "+a.key), "")
			status <- v.status
		}()
	}
	for here := 0; here < senders; time.Sleep(time.Millisecond) {
		a.limits.mu.Lock()
		here = a.limits.bodies
		a.limits.mu.Unlock()
	}
	for _, d := range held {
		a.unpack.idle <- d
	}
	unpacked := 0
	for range senders {
		switch s := <-status; s {
		case http.StatusRequestEntityTooLarge:
			unpacked++
		case http.StatusTooManyRequests:
		default:
			t.Errorf("answered %d", s)
		}
	}
	if unpacked < bombBurst || unpacked > bombBurst+len(held) {
		t.Errorf("%d bombs were unpacked, want %d, and perhaps one for each of the %d decoders", unpacked, bombBurst, len(held))
	}
}
