package web

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"photofinish/announce"
)

// Limits of the cache.
const (
	refreshEvery = time.Second     // how old the number of the last cut may be
	refreshLimit = 5 * time.Second // for reading it
	maxLoads     = 2               // answers that are made at once
	maxBytes     = 64 << 20        // of answers; then it begins anew
)

// cache keeps answers as long as no further cut is settled: what was decided changes only
// with a cut.
type cache struct {
	source Source
	log    *slog.Logger
	now    func() time.Time
	loads  chan struct{} // holds a token for each answer that is being made

	mu      sync.Mutex // guards the fields below; held while the last cut is asked for
	last    uint64
	asked   time.Time // when last was read, or could not be
	known   bool      // last was read at least once
	err     error     // of the last reading, while it was never read
	bytes   int
	answers map[string]*answer
	all     map[bool]*announce.Report // what stands, whole or in its public form; without those that were not asked for
}

func newCache(source Source, log *slog.Logger, now func() time.Time) *cache {
	return &cache{source: source, log: log, now: now, loads: make(chan struct{}, maxLoads), answers: map[string]*answer{}}
}

// get returns the answer to a request, from before or made now.
func (c *cache) get(ctx context.Context, key string, r *request, make maker) (*answer, error) {
	last, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	if a := c.kept(last, key); a != nil {
		return a, nil
	}
	select {
	case c.loads <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.loads }()
	if a := c.kept(last, key); a != nil { // made while this one waited
		return a, nil
	}
	a, err := make(ctx, r, last)
	if err != nil {
		return nil, err
	}
	c.keep(last, key, a)
	return a, nil
}

// refresh returns the last settled cut, as of a second ago at most. While the store is away
// it is the one that was the last: what is kept can still be read.
func (c *cache) refresh(ctx context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); (c.known || c.err != nil) && now.Sub(c.asked).Abs() < refreshEvery {
		return c.last, c.err
	}
	// Not the client's: who gives up must not make the next one ask again.
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshLimit)
	defer cancel()
	last, err := c.source.LastSettled(own)
	c.asked = c.now()
	switch {
	case err != nil && !c.known:
		c.err = err
		return 0, err
	case err != nil:
		c.log.WarnContext(ctx, "the last cut cannot be read; older answers are given", "err", err)
		return c.last, nil
	}
	if last != c.last || !c.known {
		c.last, c.known, c.err, c.bytes, c.answers, c.all = last, true, nil, 0, map[string]*answer{}, map[bool]*announce.Report{}
	}
	return last, nil
}

func (c *cache) kept(last uint64, key string) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last != c.last {
		return nil
	}
	return c.answers[key]
}

func (c *cache) keep(last uint64, key string, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last != c.last || len(a.body)+len(key) > maxBytes {
		return
	}
	if c.bytes += len(a.body) + len(key); c.bytes > maxBytes {
		c.bytes, c.answers = len(a.body)+len(key), map[string]*answer{}
	}
	c.answers[key] = a
}

// standing returns everything that stands, in the form that the client may see; nil if
// nothing is settled.
func (c *cache) standing(ctx context.Context, r *request, last uint64) (*announce.Report, error) {
	if last == 0 {
		return nil, nil //nolint:nilnil // as said
	}
	c.mu.Lock()
	all := c.all[r.whole]
	c.mu.Unlock()
	if all != nil {
		return all, nil
	}
	reports, err := c.source.Load(ctx, announce.Standing())
	if err != nil {
		return nil, err
	}
	form := r.form(&reports[0])
	c.mu.Lock()
	defer c.mu.Unlock()
	if last == c.last {
		c.all[r.whole] = &form
	}
	return &form, nil
}
