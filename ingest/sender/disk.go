package sender

import (
	"log/slog"
	"path/filepath"
	"time"

	"photofinish/ingest/spool"
)

// disk is what a sender needs of a spool. Append is called by one goroutine at a time, the
// others by any.
type disk interface {
	// Append returns once the payloads are synced. After an error none was promised, and
	// a crash may bring them back; after spool.ErrFull none is there.
	Append(payloads [][]byte) (first uint64, err error)
	// Read calls fn with what is left from that offset on, in order. It passes over what
	// cannot be read.
	Read(from uint64, fn func(offset uint64, payload []byte) error) error
	// First returns the lowest offset that may be left, Last the highest ever given.
	First() uint64
	Last() uint64
	// Void returns the offsets that were skipped and that nobody was answered for; Gone
	// those that were, perhaps, and can no longer be read.
	Void() []spool.Span
	Gone() []spool.Span
	// Prune removes files of which a node has everything up to upTo since at least keep.
	Prune(upTo uint64, now time.Time, keep time.Duration) (removed int, err error)
	Close() error
}

type onDisk struct{ *spool.Spool }

func openSpool(c Config, log *slog.Logger) (disk, error) {
	s, err := spool.Open(filepath.Join(c.Dir, "spool"), spool.Options{SegmentBytes: c.SegmentBytes, Quota: c.Quota, Log: log})
	if err != nil {
		return nil, err
	}
	return onDisk{s}, nil
}

func (d onDisk) First() uint64 { return d.Pruned() + 1 }

func (d onDisk) Gone() []spool.Span { return append(d.Lost(), d.Unreadable()...) }

// Prune also gives up what could not be read: there is no second copy to ask for, and no
// file before which it lies could ever be removed.
func (d onDisk) Prune(upTo uint64, now time.Time, keep time.Duration) (int, error) {
	for _, lost := range d.Unreadable() {
		if lost.Last <= upTo {
			d.Name([]spool.Span{lost})
		}
	}
	d.Counted(upTo, now)
	return d.Spool.Prune(now, keep)
}
