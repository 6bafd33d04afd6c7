package httpapi

import (
	"net/http"
	"sync"
	"time"
)

// Bounds of a configuration.
const (
	MinRate     = 0.001 // requests a second of one key
	MaxRate     = 1_000_000
	LargestBody = 1 << 30 // bytes
)

const (
	// keyShare is the part of InFlight that one key may take.
	keyShare = 4

	// storeRetry is when one who got a 503 is to come again; busyRetry where only others
	// were in the way.
	storeRetry = 5 * time.Second
	busyRetry  = time.Second

	// Of one key, packed bodies that turn out too large: ten at once, then one a second.
	// Each costs a processor what it takes to unpack as much as a body may have.
	bombEvery = time.Second
	bombBurst = 10

	logEvery = 10 * time.Second
)

// bucket limits how often something happens: each time costs every, and a burst can be
// saved up. It holds the moment at which everything taken is paid for. This is the whole
// of it, and with a clock that tests can move, so no library is used.
type bucket struct{ paid time.Time }

// take returns 0 and takes one, or how long to wait for the next.
func (b *bucket) take(now time.Time, every time.Duration, burst int) time.Duration {
	if wait := b.wait(now, every, burst); wait > 0 {
		return wait
	}
	if b.paid.Before(now) {
		b.paid = now
	}
	b.paid = b.paid.Add(every)
	return 0
}

// wait returns how long take would have to wait, and takes nothing.
func (b *bucket) wait(now time.Time, every time.Duration, burst int) time.Duration {
	if !b.paid.After(now) {
		return 0
	}
	return max(b.paid.Sub(now)-time.Duration(burst-1)*every, 0)
}

// limits is who may send how much at once and how often.
type limits struct {
	cfg   *Config
	every time.Duration
	burst int

	mu     sync.Mutex         // guards the fields below, and the keyUse in byKey
	byKey  map[string]*keyUse // by id of a key that was found: as many as there are keys
	bodies int                // on their way
	bytes  int64              // held
	logged bucket
}

// keyUse is what one key takes.
type keyUse struct {
	bucket

	bombs  bucket
	bodies int
	bytes  int64
}

func newLimits(cfg *Config) *limits {
	return &limits{
		cfg: cfg, every: time.Duration(float64(time.Second) / cfg.Rate), burst: max(1, int(2*cfg.Rate)),
		byKey: map[string]*keyUse{},
	}
}

// lease is one body's part of the limits.
type lease struct {
	limits *limits
	key    *keyUse
	bytes  int64
}

// admit lets a key send a body, or says why not.
func (l *limits) admit(id string, now time.Time) (*lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.byKey[id]
	if k == nil {
		k = &keyUse{}
		l.byKey[id] = k
	}
	switch wait := k.take(now, l.every, l.burst); {
	case wait > 0:
		return nil, &refusal{status: http.StatusTooManyRequests, reason: RefusedRate, after: wait, detail: "this key sends more requests than it may; put more events into each"}
	case k.bodies >= l.cfg.KeyBodies:
		return nil, &refusal{status: http.StatusTooManyRequests, reason: RefusedRate, after: busyRetry, detail: "too many requests of this key are on their way"}
	case l.bodies >= l.cfg.Bodies:
		return nil, &refusal{status: http.StatusServiceUnavailable, reason: RefusedBusy, after: busyRetry, detail: "too many requests are on their way"}
	}
	k.bodies++
	l.bodies++
	return &lease{limits: l, key: k}, nil
}

// hold takes n more bytes into account, or says why they may not be held.
func (l *lease) hold(n int64) error {
	l.limits.mu.Lock()
	defer l.limits.mu.Unlock()
	cfg := l.limits.cfg
	// A lone body may be held packed and unpacked, whatever the share.
	if l.key.bytes+n > max(cfg.InFlight/keyShare, 2*cfg.MaxBody) {
		return &refusal{status: http.StatusTooManyRequests, reason: RefusedRate, after: busyRetry, close: true, detail: "this key has too many bytes on their way"}
	}
	if l.limits.bytes+n > cfg.InFlight {
		return &refusal{status: http.StatusServiceUnavailable, reason: RefusedBusy, after: busyRetry, close: true, detail: "too many bytes are on their way"}
	}
	l.bytes += n
	l.key.bytes += n
	l.limits.bytes += n
	return nil
}

// drop gives n bytes back.
func (l *lease) drop(n int64) {
	l.limits.mu.Lock()
	defer l.limits.mu.Unlock()
	l.bytes -= n
	l.key.bytes -= n
	l.limits.bytes -= n
}

// mayUnpack says why a body of this key may not be unpacked now; nil if it may.
func (l *lease) mayUnpack(now time.Time) error {
	l.limits.mu.Lock()
	defer l.limits.mu.Unlock()
	if wait := l.key.bombs.wait(now, bombEvery, bombBurst); wait > 0 {
		return &refusal{
			status: http.StatusTooManyRequests, reason: RefusedRate, after: wait, close: true,
			detail: "too many bodies of this key were too large when they were unpacked; send smaller ones, or not packed",
		}
	}
	return nil
}

// bomb counts a body that turned out too large when it was unpacked.
func (l *lease) bomb(now time.Time) {
	l.limits.mu.Lock()
	defer l.limits.mu.Unlock()
	l.key.bombs.take(now, bombEvery, bombBurst)
}

// release gives everything back, once.
func (l *lease) release() {
	l.drop(l.bytes)
	l.limits.mu.Lock()
	defer l.limits.mu.Unlock()
	l.key.bodies--
	l.limits.bodies--
}

// mayLog keeps a disk that is full from filling the log as well.
func (l *limits) mayLog(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logged.take(now, logEvery, 1) == 0
}
