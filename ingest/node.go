package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// ErrSpoolForeign says that the merged log holds events of this node's name which
// another spool sent.
var ErrSpoolForeign = errors.New("another spool has sent events under this node's name; give the node a name of its own")

// Node takes events in and forwards them. Its methods may be called by several
// goroutines at once, between Open and Close.
type Node struct {
	conn       driver.Conn
	log        *slog.Logger
	cfg        Config
	now        func() time.Time
	roundBytes int // of a round, and of what a request puts into one

	mu         sync.Mutex   // guards the fields below; never held over a read, a write or a sync
	spool      *spool.Spool // nil: not open
	recent     *recent
	marks      watermarks
	end        uint64 // marks hold what was said with everything up to it
	marksErr   error  // of the last time that they were saved
	unused     unused
	lost       spans  // places that were named lost
	waiting    *round // collects what comes in
	flying     *round // is being written
	committing bool   // a goroutine writes rounds
	awake      int64  // when this process was last seen to run, by its clock; 0: nobody looks
	status     Status

	commits    sync.WaitGroup // that goroutine
	news       chan struct{}  // holds one where something is new to forward
	forwarding sync.Mutex     // one Forward at a time; guards forward
	forward    forward
	importing  sync.Mutex // one Import at a time
}

// New returns a node that forwards over conn and reads the time from now. It does
// nothing else: Open opens the spool.
func New(conn driver.Conn, log *slog.Logger, cfg Config, now func() time.Time) (*Node, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return &Node{conn: conn, log: log.With("node", cfg.Node), cfg: cfg, now: now, roundBytes: MaxBatchBytes, news: make(chan struct{}, 1)}, nil
}

// Open takes the node's folder, creating it where it is missing. It does not need
// ClickHouse. It fails with spool.ErrLocked where another process is this node.
func (n *Node) Open() error {
	n.mu.Lock()
	open := n.spool != nil
	n.mu.Unlock()
	if open {
		return fmt.Errorf("open node %s: it is open", n.cfg.Node)
	}
	s, err := spool.Open(n.cfg.folder(), spool.Options{SegmentBytes: n.cfg.SegmentBytes, Quota: n.cfg.Quota, Log: n.log})
	if err != nil {
		return fmt.Errorf("open node %s: %w", n.cfg.Node, err)
	}
	marks, whole, err := loadWatermarks(n.cfg.folder(), n.now())
	if err != nil {
		n.log.Warn("what servers reported is taken from the spool and the log", "err", err)
	}
	known := newRecent(n.cfg.Recent)
	if err := n.remember(s, known, &marks, whole); err != nil {
		// Duplicates are then taken for new, which changes no outcome.
		n.log.Warn("the end of the spool was not read whole", "err", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spool, n.end, n.marks, n.recent = s, s.Last(), marks, known
	n.forward, n.unused = forward{promises: newPromises()}, unused{}
	return nil
}

// commitStage puts an import into the spool, as a round of its own, and notes up to where
// its region's log is complete.
func (n *Node) commitStage(stage *spool.Stage, region string, upTo rules.Instant) (last uint64, err error) {
	n.mu.Lock()
	s := n.spool
	n.mu.Unlock()
	if s == nil {
		return 0, spool.ErrClosed
	}
	_, last, err = stage.Commit()
	if err != nil {
		return 0, err
	}
	if err := n.cfg.Stop("import.committed"); err != nil {
		return 0, err
	}
	n.mu.Lock()
	n.marks.imported(region, upTo, n.now())
	if n.newest() == nil { // else a round with lower offsets may be under way
		n.end = max(n.end, last)
	}
	n.mu.Unlock()
	n.wakeUp()
	_, saved := n.snapshot(s)
	if err := saved.save(n.cfg.folder()); err != nil {
		return 0, errors.Join(err, errors.New("the events are spooled; import them again to set the watermark"))
	}
	return last, nil
}

// Close gives the folder back. It waits for calls that are under way; events that were
// on their way to the disk land before.
func (n *Node) Close() error {
	n.importing.Lock()
	defer n.importing.Unlock()
	n.forwarding.Lock()
	defer n.forwarding.Unlock()
	n.mu.Lock()
	s := n.spool
	n.spool = nil // from here on nothing joins a round
	n.mu.Unlock()
	if s == nil {
		return nil
	}
	n.commits.Wait()
	n.saveMarks(s)
	if err := s.Close(); err != nil {
		return fmt.Errorf("close node %s: %w", n.cfg.Node, err)
	}
	return nil
}
