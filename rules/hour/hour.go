package hour

import (
	"cmp"
	"fmt"
	"time"

	"photofinish/rules"
)

// Beat is how often a node publishes at least; one whose newest row is older than two
// of them is stale.
const Beat = time.Minute

// quietPeriods is how many periods without an event are closed one by one.
const quietPeriods = 24

// Mode is how a run was asked for.
type Mode int

// The modes.
const (
	// Scheduled settles what is due by the clock.
	Scheduled Mode = iota
	// At settles up to the last period end at or before a time, as the scheduled run of
	// that time would but for the delay. It is never as of later than that time.
	At
	// Through settles up to a time, which may lie inside a period, and waits for nobody.
	Through
)

// Now is the one reading of time that a run makes: the clock, or the time asked for.
type Now struct {
	Mode Mode
	T    rules.Instant
}

// Row is one row of a node's progress: what it said of itself at one time.
type Row struct {
	Node      string
	Published uint64 // running number; the row with the highest replaces all others as a whole
	At        rules.Instant
	Offset    uint64
	Watermark rules.Instant
	Regions   []rules.RegionMark
	Silent    []rules.SilentServer
	Lost      []rules.Span
	Void      []rules.Span
	Unused    []rules.Unused
	// Life names the life of the engine in which the node counted its rows in the log. A
	// power cut begins another life, since it may have taken rows. "": it is believed.
	Life string
}

// Retirement says that a person retired a node that was at the offset.
type Retirement struct {
	Node   string
	Offset uint64
}

// Progress is what a run has read of the nodes: of each the newest row, and those
// from the last cut's line on, so that a line which a hole cuts short finds the
// watermark that goes with it.
type Progress struct {
	Rows    []Row
	Retired []Retirement
	// Lives names the present life of the engine that holds the log, by any of its names. Empty:
	// no node has counted under it. nil: every row is believed.
	Lives []string
}

// Newest returns a node's word: its row with the highest Published; false if it has said
// nothing.
func (p *Progress) Newest(node string) (Row, bool) {
	var word Row
	found := false
	for _, r := range p.Rows {
		if r.Node == node && (!found || r.Published > word.Published) {
			word, found = r, true
		}
	}
	return word, found
}

// Last is the highest recorded cut.
type Last struct {
	Cut       rules.Cut // zero: there is none
	Unsettled bool
	SettledID string // of its settled entry
	Again     rules.Again
}

// Log is what a plan asks of the merged log, bounded by lines. Offsets that a line
// skips as lost or void are not there.
type Log interface {
	// First returns the instant of the first event; false if there is none.
	First(lines []rules.NodeLine) (rules.Instant, bool, error)
	// Busy returns the starts of the periods from one instant to before another that
	// hold an event, sorted.
	Busy(lines []rules.NodeLine, from, to rules.Instant, period time.Duration) ([]rules.Instant, error)
	// Late reports whether an identity that happened before the last cut's Through is
	// new: no row of it is in that cut.
	Late(last *rules.Cut, lines []rules.NodeLine) (bool, error)
	// Hole returns the first offsets of a node that are missing after one offset and up
	// to another, those in skip aside; false if none is.
	Hole(node string, after, upTo uint64, skip []rules.Span) (rules.Span, bool, error)
}

// Config is when cuts are due and who is waited for. The zero value of a field is its default.
type Config struct {
	Period  time.Duration // of an hour cut, aligned to 1970-01-01 UTC; default 1h
	Delay   time.Duration // after the end of a period; default 2m; NoDelay is none
	Silence time.Duration // a node believes a silent server for so long; default 15m
	Excuse  time.Duration // a node that has not spoken for so long is not waited for; default 24h
	Trust   time.Duration // the clock counts for so long after the newest row; default 24h
}

// NoDelay is a delay of nothing.
const NoDelay = -1 * time.Nanosecond

// The bounds of a period. A shorter one would cost more cuts than it has events, and
// decide no sooner: nodes publish by the second, and at least once a Beat. The longest is
// longer than any log: a hundred years.
const (
	MinPeriod = 10 * time.Second
	maxPeriod = 876000 * time.Hour
)

// Validate reports a field that makes no sense.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Period < MinPeriod || c.Period > maxPeriod {
		return fmt.Errorf("a settlement period of %s is not from %s to %s", c.Period, MinPeriod, maxPeriod)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"delay", c.Delay}, {"silence", c.Silence}, {"excuse", c.Excuse}, {"trust", c.Trust}} {
		if d.d < 0 {
			return fmt.Errorf("a settlement's %s of %s is negative", d.name, d.d)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Period = cmp.Or(c.Period, time.Hour)
	c.Delay = cmp.Or(c.Delay, 2*time.Minute)
	if c.Delay == NoDelay {
		c.Delay = 0
	}
	c.Silence = cmp.Or(c.Silence, 15*time.Minute)
	c.Excuse = cmp.Or(c.Excuse, 24*time.Hour)
	c.Trust = cmp.Or(c.Trust, 24*time.Hour)
	return c
}

// Lag is who has not told of everything before a cut's Through, and until when it is
// waited for.
type Lag struct {
	rules.Lag
	Until rules.Instant
}

// Lagging returns who lags behind a cut, with Until so long after Since as a node is
// waited for.
func Lagging(cut *rules.Cut, excuse time.Duration) []Lag {
	excuse = cmp.Or(excuse, 24*time.Hour)
	lags := []Lag{}
	for _, l := range cut.Lagging() {
		lags = append(lags, Lag{l, l.Since.Add(excuse)})
	}
	return lags
}
