package ingest

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// ImportOptions says what to import.
type ImportOptions struct {
	Server   string         // whose events these are
	Region   string         // where that server stands
	Format   Format         // FormatByName: each file by its name
	Location *time.Location // the zone of stamps that name none; nil: UTC
	Paths    []string       // files, folders and archives, in this order
	ClockErr time.Duration  // of the server's clock, added to what a stamp leaves open; 0: none
	Until    rules.Instant  // the log of this region is complete up to here; 0: up to its last event
	Again    bool           // take logs in even where the server has sent their span itself; see PushedError
	// Progress, where set, is called from one goroutine at a time, many times.
	Progress func(Progress)
}

// Progress says how far an import has come.
type Progress struct {
	Bytes, TotalBytes int64 // of the files as they lie on disk
	Files             int   // read completely, members of archives included
	Lines             int
}

// Import reads the paths and spools every event of them that the log does not have
// yet: all at once when the last byte was read and found right, or none. Reading
// the same again finds only duplicates.
//
// The events are numbered by path, then as they lie in it: a folder's files by base
// name, an archive's in its own order, which alone can be read without holding the
// archive. Nothing that decides rests on those numbers: the order of a log's events is in
// their seq. Only of two contents of one id, which the summary counts as a conflict,
// the one that came first stands.
//
// It looks duplicates up in the merged log, so it calls Forward before, and needs
// ClickHouse; call Forward afterwards to have the events in the log. An
// *InputError says that a path could not be read, a *PushedError that the server has sent
// the same time itself; then, as after any other error but a failure of the disk in the
// very commit, nothing was imported. It ends soon after ctx does, whatever it reads.
func (n *Node) Import(ctx context.Context, o ImportOptions) (Summary, error) {
	n.importing.Lock()
	defer n.importing.Unlock()
	s, err := n.importAll(ctx, o)
	if err != nil {
		return Summary{}, fmt.Errorf("import: %w", err)
	}
	return s, nil
}

func (n *Node) importAll(ctx context.Context, o ImportOptions) (Summary, error) {
	rd, err := n.reading(o)
	if err != nil {
		return Summary{}, err
	}
	list, bytes, err := inputs(ctx, o.Paths)
	if err != nil {
		return Summary{}, err
	}
	// What is spooled but not in the log could not be looked up there.
	if err := n.Forward(ctx); err != nil {
		return Summary{}, err
	}
	n.mu.Lock()
	s := n.spool
	n.mu.Unlock()
	if s == nil {
		return Summary{}, spool.ErrClosed
	}
	stage, err := s.Stage()
	if err != nil {
		return Summary{}, err
	}
	defer stage.Abort()
	im := &importing{
		node: n, rd: rd, stage: stage, lineCounts: newLineCounts(),
		seen: map[key]struct{}{}, logs: map[key]*logFile{},
		progress: Progress{TotalBytes: bytes}, report: o.Progress,
	}
	if err := im.readAll(ctx, list, o.Format); err != nil {
		return Summary{}, err
	}
	if !o.Again {
		if err := im.refusePushed(ctx); err != nil {
			return Summary{}, err
		}
	}
	if err := n.cfg.Stop("import.staged"); err != nil {
		return Summary{}, err
	}
	// A crash before the commit leaves a temporary file that the next Open removes,
	// and the import can be repeated; a crash after it leaves the events spooled
	// without the watermark, which repeating the import sets.
	return im.commit()
}

func (n *Node) reading(o ImportOptions) (*reading, error) {
	rd := &reading{server: o.Server, region: o.Region, until: o.Until, zone: cmp.Or(o.Location, time.UTC), receivedNs: n.now().UnixNano(), clockErrNs: int64(o.ClockErr)}
	if err := checkName("server", o.Server); err != nil {
		return nil, err
	}
	if err := checkName("region", o.Region); err != nil {
		return nil, err
	}
	if o.ClockErr < 0 || o.ClockErr > MaxClockOffset {
		return nil, &FieldError{"clock error", o.ClockErr.String(), "is not from 0 to " + MaxClockOffset.String()}
	}
	if _, err := ParseFormat(string(o.Format)); err != nil {
		return nil, err
	}
	return rd, nil
}

// commit spools the stage and notes up to where the region's log is complete, which
// an import of which everything is refused says nothing about.
func (im *importing) commit() (Summary, error) {
	im.summary.Accepted = int(im.stage.Len())
	im.summary.Refused, im.summary.Skipped = im.lists()
	upTo := max(im.rd.until, im.summary.Last-rules.Instant(im.rd.clockErrNs))
	if im.summary.AllRefused() {
		upTo = 0
	}
	last, err := im.node.commitStage(im.stage, im.rd.region, upTo)
	if err != nil {
		return Summary{}, err
	}
	im.summary.Offset = last
	return im.summary, nil
}
