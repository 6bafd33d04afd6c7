package httpapi

import (
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// Of one address, requests with wrong keys: a hundred at once, then ten a second.
	wrongEvery = 100 * time.Millisecond
	wrongBurst = 100
	// maxAddresses bounds the addresses that are counted by themselves; all others
	// together are one.
	maxAddresses = 10_000
)

// WrongKeys counts the requests with wrong keys by the address they come from. Its methods
// may be called by several goroutines at once.
type WrongKeys struct {
	mu     sync.Mutex            // guards the fields below
	of     map[netip.Addr]bucket // at most maxAddresses
	others bucket                // of the addresses beyond
	sweeps bucket                // of the map
}

// NewWrongKeys returns a count of none.
func NewWrongKeys() *WrongKeys { return &WrongKeys{of: map[netip.Addr]bucket{}} }

// Count counts a request whose key is wrong, and returns how long its address is to stay away
// where they are too many; 0 where they are not.
func (w *WrongKeys) Count(r *http.Request, now time.Time) time.Duration {
	return w.count(addressOf(r), now)
}

func (w *WrongKeys) count(from netip.Addr, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, known := w.of[from]
	if !known && len(w.of) >= maxAddresses && w.sweeps.take(now, time.Second, 1) == 0 {
		// Not for each: who has many addresses could make every refusal dear by it.
		maps.DeleteFunc(w.of, func(_ netip.Addr, b bucket) bool { return !b.paid.After(now) })
	}
	if !known && len(w.of) >= maxAddresses {
		return w.others.take(now, wrongEvery, wrongBurst)
	}
	wait := b.take(now, wrongEvery, wrongBurst)
	w.of[from] = b
	return wait
}

// addressOf is whom wrong keys are counted by: an address, of IPv6 its network, since
// everybody has as many as they like in theirs.
func addressOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := at.Addr().Unmap().WithZone("")
	if address.Is4() {
		return address
	}
	const network = 64
	return netip.PrefixFrom(address, network).Masked().Addr()
}
