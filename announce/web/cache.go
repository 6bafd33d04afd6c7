package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"photofinish/announce"
)

// Limits of the cache.
const (
	refreshEvery = time.Second     // how old the number of the last cut may be
	refreshLimit = 5 * time.Second // for reading it
	maxLoads     = 2               // answers of one settlement, and parts of lists, that are made at once; of each
	maxReports   = 48 << 20        // bytes of answers of one settlement
	maxLists     = 16 << 20        // bytes of parts of lists
)

// cache keeps answers as long as no further cut is settled: what was decided changes only
// with a cut. Keys are of what was asked for, however it was spelled, so that the ledger is
// read as often as there are settlements, not as there are requests:
//
//   - what stands is read once, one reading at a time; its answers are few and all kept
//   - a settlement is read once for each of its forms
//   - the parts of lists are cut from these and never a reading of their own
//
// What exceeds a bound takes the place of what was asked for the longest time ago, never
// of what stands.
type cache struct {
	source  Source
	log     *slog.Logger
	now     func() time.Time
	loads   chan struct{} // holds a token for each reading of settlements
	cutting chan struct{} // likewise for each part of a list that is being made
	reading chan struct{} // likewise for the one reading of what stands, and for the making of its answers

	answers once[*answer]
	alls    once[*announce.Report]

	mu       sync.Mutex // guards the fields below; held while the last cut is asked for
	last     uint64
	asked    time.Time                 // when last was read, or could not be
	known    bool                      // last was read at least once
	err      error                     // of the last reading, while it was never read
	standing shelf                     // answers of what stands: no more than its forms
	reports  shelf                     // answers of one settlement
	lists    shelf                     // parts of lists
	all      map[bool]*announce.Report // what stands, whole or in its public form; none: not read yet
	allOf    uint64                    // a cut that all is not older than
}

func newCache(source Source, log *slog.Logger, now func() time.Time) *cache {
	c := &cache{
		source: source, log: log, now: now,
		loads: make(chan struct{}, maxLoads), cutting: make(chan struct{}, maxLoads), reading: make(chan struct{}, 1),
	}
	c.begin(0)
	return c
}

// begin forgets everything of earlier cuts.
func (c *cache) begin(last uint64) {
	c.last, c.allOf, c.all = last, 0, nil
	c.standing, c.reports, c.lists = newShelf(0), newShelf(maxReports), newShelf(maxLists)
}

// get returns the answer that a plan is for, from before or made now.
func (c *cache) get(ctx context.Context, p plan) (*answer, error) {
	last, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	return c.answer(ctx, p, last)
}

func (c *cache) answer(ctx context.Context, p plan, last uint64) (*answer, error) {
	if a := c.kept(p, last); a != nil {
		return a, nil
	}
	return c.answers.do(ctx, key{last, p.key}, func() (*answer, error) {
		if a := c.kept(p, last); a != nil { // made while this one waited
			return a, nil
		}
		a, err := p.make(ctx, last)
		if err == nil {
			c.keep(p, last, a)
		}
		return a, err
	})
}

// enter waits for a place among those that hold a token, and returns how to leave it.
func enter(ctx context.Context, tokens chan struct{}) (leave func(), err error) {
	select {
	case tokens <- struct{}{}:
		return func() { <-tokens }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// own returns a context for what many wait for: who gives up does not end it.
func own(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
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
		c.known, c.err = true, nil
		c.begin(last)
	}
	return last, nil
}

// shelf returns where the answers of a kind are. The caller holds mu.
func (c *cache) shelf(k kind) *shelf {
	switch k {
	case ofReport:
		return &c.reports
	case ofList:
		return &c.lists
	}
	return &c.standing
}

func (c *cache) kept(p plan, last uint64) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last != c.last {
		return nil
	}
	return c.shelf(p.kind).get(p.key)
}

func (c *cache) keep(p plan, last uint64, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last == c.last {
		c.shelf(p.kind).put(p.key, a)
	}
}

// stands returns everything that stands, as of the cut last or a later one, in the form that
// the client may see; nil if nothing is settled.
func (c *cache) stands(ctx context.Context, whole bool, last uint64) (*announce.Report, error) {
	if last == 0 {
		return nil, nil //nolint:nilnil // as said
	}
	if all, _ := c.read(whole, last); all != nil {
		return all, nil
	}
	return c.alls.do(ctx, key{last, form(whole)}, func() (*announce.Report, error) {
		leave, err := enter(ctx, c.reading)
		if err != nil {
			return nil, err
		}
		defer leave()
		all, newest := c.read(whole, last)
		if all != nil { // read while this one waited
			return all, nil
		}
		own, cancel := own(ctx)
		defer cancel()
		reports, err := c.source.Load(own, announce.Standing())
		if err != nil {
			return nil, err
		}
		all = &reports[0]
		public := announce.Public(all)
		c.mu.Lock()
		defer c.mu.Unlock()
		// Kept for who waits although a further cut may be settled by now: else each cut that
		// comes while others are read would be read by itself.
		if newest <= c.last { // else the tables were put back to an earlier cut
			c.allOf, c.all = newest, map[bool]*announce.Report{true: all, false: &public}
		}
		if whole {
			return all, nil
		}
		return &public, nil
	})
}

// read returns what stands as it was read, if that is not older than the cut last; and the last
// cut, which a reading that begins now has.
func (c *cache) read(whole bool, last uint64) (all *announce.Report, newest uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.allOf < last {
		return nil, c.last
	}
	return c.all[whole], c.last
}

// settlements returns the JSON of the reports of the cuts from..to. Those that are not kept are
// read at once, and kept.
func (c *cache) settlements(ctx context.Context, whole bool, from, to, last uint64) ([]json.RawMessage, error) {
	bodies := make([]json.RawMessage, to-from+1)
	missing := func() (first, end uint64) {
		for cut := from; cut <= to; cut++ {
			if a := c.kept(ofCut(whole, false, cut), last); a != nil {
				bodies[cut-from] = a.body
			} else if bodies[cut-from] == nil {
				if first == 0 {
					first = cut
				}
				end = cut
			}
		}
		return first, end
	}
	if first, _ := missing(); first == 0 {
		return bodies, nil
	}
	leave, err := enter(ctx, c.loads)
	if err != nil {
		return nil, err
	}
	defer leave()
	first, end := missing() // others may have read them while this one waited
	if first == 0 {
		return bodies, nil
	}
	own, cancel := own(ctx)
	defer cancel()
	reports, err := c.source.Load(own, announce.Each(first, end))
	if err != nil {
		return nil, err
	}
	for i := range reports { // of each of the cuts, in order
		a, err := jsonAnswer(shownTo(whole, &reports[i]))
		if err != nil {
			return nil, err
		}
		cut := reports[i].Cut.Number
		c.keep(ofCut(whole, false, cut), last, a)
		bodies[cut-from] = a.body
	}
	return bodies, nil
}
