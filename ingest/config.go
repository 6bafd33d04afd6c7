package ingest

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"photofinish/ingest/spool"
)

// Defaults of Config.
const (
	DefaultSilentAfter = 15 * time.Minute
	DefaultFutureLimit = 5 * time.Minute
	DefaultRetention   = 7 * 24 * time.Hour
	DefaultBatchRows   = 100_000
	DefaultRecent      = 500_000
	DefaultLookupAfter = time.Minute
)

// Config says how a node works. Node and Dir must be set; every other zero is the
// default named beside it.
type Config struct {
	Node string // the node's name; its offsets are counted under it for ever
	Dir  string // the folder that holds a folder of each node

	// SilentAfter is how long a server may say nothing before the watermark stops
	// waiting for it: DefaultSilentAfter.
	SilentAfter time.Duration
	// FutureLimit is how far ahead of the node's clock an event may be:
	// DefaultFutureLimit.
	FutureLimit time.Duration
	// ClockErr is taken for the error of a server's clock where a batch brings no
	// estimate: DefaultClockErr.
	ClockErr time.Duration
	// NodeClockErr is the error of the node's own clock, which is added to that of every
	// event from the network: DefaultNodeClockErr.
	NodeClockErr time.Duration
	// Retention is how long a segment stays after it was forwarded, so that what a
	// power cut took from ClickHouse can be sent again: DefaultRetention.
	Retention time.Duration
	// SegmentBytes is the size of a spool segment: spool.DefaultSegmentBytes.
	SegmentBytes int64
	// Quota is how many bytes the spool may take, not less than four segments; then
	// events are refused until others were forwarded and removed. 0: what the disk has.
	Quota int64
	// BatchRows is how many events one step of Forward sends, up to 1,000,000:
	// DefaultBatchRows.
	BatchRows int
	// Recent is how many of the last events are remembered, at least, so that a
	// resent one is known without asking ClickHouse: DefaultRecent.
	Recent int
	// LookupAfter is the age at which an event that is not remembered is looked for
	// in the merged log: DefaultLookupAfter. Fresh events have not been seen by
	// another node, and asking for each batch would cost more than a duplicate does.
	LookupAfter time.Duration

	// Stop, where set, is called with the name of each step that has just become
	// durable. An error ends the call there as a crash would. For tests.
	Stop func(step string) error
}

const maxBatchRows = 1_000_000

// Check says what is wrong with a configuration, as New would.
func (c Config) Check() error {
	_, err := c.complete()
	return err
}

func (c Config) complete() (Config, error) {
	if err := checkNode(c.Node); err != nil {
		return c, err
	}
	if c.Dir == "" {
		return c, fmt.Errorf("node %s has no folder for its spool", c.Node)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"SilentAfter", &c.SilentAfter, DefaultSilentAfter},
		{"FutureLimit", &c.FutureLimit, DefaultFutureLimit},
		{"ClockErr", &c.ClockErr, DefaultClockErr},
		{"NodeClockErr", &c.NodeClockErr, DefaultNodeClockErr},
		{"Retention", &c.Retention, DefaultRetention},
		{"LookupAfter", &c.LookupAfter, DefaultLookupAfter},
	} {
		*d.value = cmp.Or(*d.value, d.zero)
		if *d.value < 0 {
			return c, fmt.Errorf("node %s: %s is %s, which is negative", c.Node, d.name, *d.value)
		}
	}
	c.SegmentBytes = cmp.Or(c.SegmentBytes, spool.DefaultSegmentBytes)
	c.BatchRows = cmp.Or(c.BatchRows, DefaultBatchRows)
	c.Recent = cmp.Or(c.Recent, DefaultRecent)
	switch {
	case c.SegmentBytes < 0:
		return c, fmt.Errorf("node %s: SegmentBytes is %d, which is negative", c.Node, c.SegmentBytes)
	case c.Quota != 0 && c.Quota < 4*c.SegmentBytes:
		return c, fmt.Errorf("node %s: a spool of %d bytes is less than four segments of %d", c.Node, c.Quota, c.SegmentBytes)
	case c.BatchRows < 1 || c.BatchRows > maxBatchRows:
		return c, fmt.Errorf("node %s: BatchRows is %d, not from 1 to %d", c.Node, c.BatchRows, maxBatchRows)
	case c.Recent < 0:
		return c, fmt.Errorf("node %s: Recent is %d, which is negative", c.Node, c.Recent)
	}
	if c.Stop == nil {
		c.Stop = func(string) error { return nil }
	}
	return c, nil
}

// checkNode keeps to names that are also good folder names everywhere.
func checkNode(name string) error {
	if err := checkName("node", name); err != nil {
		return err
	}
	if err := checkType(name); err != nil {
		return &FieldError{"node", name, "is not a letter followed by letters, digits, dashes, dots or underscores"}
	}
	return nil
}

func (c *Config) folder() string { return filepath.Join(c.Dir, c.Node) }
