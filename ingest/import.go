package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
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
	// Progress, where set, is called from one goroutine at a time, many times.
	Progress func(Progress)
}

// Progress says how far an import has come.
type Progress struct {
	Bytes, TotalBytes int64 // of the files as they lie on disk
	Files             int   // read completely, members of archives included
	Lines             int   // in these files
}

// lookupEvents is how many events of an import are looked up in the log at once.
const lookupEvents = 50_000

// Import reads the paths and spools every event of them that the log does not have
// yet: all at once when the last byte was read and found right, or none. Reading
// the same again finds only duplicates. The events are numbered by path, then base
// name, then line.
//
// It looks duplicates up in the merged log, so it calls Forward before, and needs
// ClickHouse; call Forward afterwards to have the events in the log. An
// *InputError says that a path could not be read; then, as after any other error
// but a failure of the disk in the very commit, nothing was imported.
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
	list, bytes, err := inputs(o.Paths)
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
		seen: map[key]struct{}{}, files: map[string]baseName{},
		progress: Progress{TotalBytes: bytes}, report: o.Progress,
	}
	err = im.readAll(ctx, list, o.Format)
	if err != nil {
		return Summary{}, err
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

// importing is one import under way.
type importing struct {
	lineCounts

	node     *Node
	rd       *reading
	stage    *spool.Stage
	summary  Summary
	seen     map[key]struct{}    // identities, also with their content, of this import
	files    map[string]baseName // by base name, of those whose lines make ids
	waiting  []*member           // not yet looked up
	events   int                 // in waiting
	mu       sync.Mutex          // guards progress and calls of report
	progress Progress
	report   func(Progress)
}

type baseName struct {
	where string
	sum   [sha256.Size]byte
}

func (im *importing) advance(by Progress) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.progress.Bytes += by.Bytes
	im.progress.Files += by.Files
	im.progress.Lines += by.Lines
	if im.report != nil {
		im.report(im.progress)
	}
}

// unpacked is what one input gave.
type unpacked struct {
	members []*member
	skipped int
	err     error
}

// readAll unpacks and reads several inputs at once, each by one goroutine, and
// takes their results in order: what is staged does not depend on who was faster.
func (im *importing) readAll(ctx context.Context, list []input, format Format) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	// An input that was read waits in memory until those before it were taken.
	ahead := make(chan struct{}, runtime.GOMAXPROCS(0)+1)
	results := make([]chan unpacked, len(list))
	for i := range results {
		results[i] = make(chan unpacked, 1)
	}
	workers.Go(func() {
		for i, in := range list {
			select {
			case ahead <- struct{}{}:
			case <-ctx.Done():
				return
			}
			workers.Go(func() { results[i] <- im.read(ctx, in, format) })
		}
	})
	for _, result := range results {
		select {
		case u := <-result:
			if err := im.take(ctx, u); err != nil {
				return err
			}
			<-ahead
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return im.flush(ctx)
}

// read reads one input; its members come ordered by base name, then path.
func (im *importing) read(ctx context.Context, in input, format Format) (u unpacked) {
	type named struct {
		*member
		path string
	}
	var members []named
	u.err = in.each(ctx, format, func(bytes int64) { im.advance(Progress{Bytes: bytes}) },
		func(path, base string, f Format, r io.Reader) error {
			m, err := im.rd.read(whereOf(in.path, path), base, f, r)
			if err != nil {
				return err
			}
			members = append(members, named{m, path})
			im.advance(Progress{Files: 1, Lines: m.lines})
			return nil
		}, func() { u.skipped++ })
	slices.SortStableFunc(members, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.path, b.path))
	})
	for _, m := range members {
		u.members = append(u.members, m.member)
	}
	return u
}

// take counts one input's members and stages their events once there are enough
// for a lookup.
func (im *importing) take(ctx context.Context, u unpacked) error {
	if u.err != nil {
		return u.err
	}
	im.summary.FilesSkipped += u.skipped
	for _, m := range u.members {
		if err := im.clash(m); err != nil {
			return err
		}
		im.add(m.lineCounts)
		im.summary.Files++
		im.summary.Lines += m.lines
		im.summary.Heartbeats += m.heartbeats
		if m.first != 0 && (im.summary.First == 0 || m.first < im.summary.First) {
			im.summary.First = m.first
		}
		im.summary.Last = max(im.summary.Last, m.last)
		im.waiting = append(im.waiting, m)
		im.events += len(m.events)
		if im.events >= lookupEvents {
			if err := im.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// clash refuses two different files of one base name: their lines would have the
// same ids. Two copies of one file are only duplicates.
func (im *importing) clash(m *member) error {
	if !m.logOfLines {
		return nil
	}
	other, ok := im.files[m.base]
	if ok && other.sum != m.sum {
		return &InputError{Path: m.where, Err: fmt.Errorf("its name and other content are those of %s; ids are made of file names, so import them as two servers or rename one", other.where)}
	}
	im.files[m.base] = baseName{m.where, m.sum}
	return nil
}

// flush looks the waiting events up in the log and stages what is new.
func (im *importing) flush(ctx context.Context) error {
	var ids []string
	for _, m := range im.waiting {
		for i := range m.events {
			ids = append(ids, m.events[i].id)
		}
	}
	logged := map[key]struct{}{}
	err := im.node.known(ctx, im.rd.server, ids, func(k key, content rules.Content, _ uint64) {
		logged[k], logged[k.with(content)] = struct{}{}, struct{}{}
	})
	if err != nil {
		return err
	}
	for _, m := range im.waiting {
		if err := im.stageNew(m, logged); err != nil {
			return err
		}
	}
	clear(im.waiting)
	im.waiting, im.events = im.waiting[:0], 0
	if len(im.seen)/2 > MaxImportEvents {
		return fmt.Errorf("there are more than %d events; import them in parts", MaxImportEvents)
	}
	return nil
}

func (im *importing) stageNew(m *member, logged map[key]struct{}) error {
	for i := range m.events {
		e := &m.events[i]
		exact := e.key.with(e.content)
		if has(exact, logged, im.seen) {
			im.summary.Duplicates++
			continue
		}
		if has(e.key, logged, im.seen) {
			im.summary.Conflicts++
			if im.summary.Conflict == "" {
				im.summary.Conflict = fmt.Sprintf("%s:%d", m.where, e.line)
			}
		}
		im.seen[e.key], im.seen[exact] = struct{}{}, struct{}{}
		if err := im.stage.Append(m.payloads[e.start:e.end]); err != nil {
			return err
		}
	}
	return nil
}

func has(k key, a, b map[key]struct{}) bool {
	_, inA := a[k]
	_, inB := b[k]
	return inA || inB
}

// commit spools the stage and moves the node's watermark to the latest instant.
func (im *importing) commit() (Summary, error) {
	im.summary.Accepted = int(im.stage.Len())
	upTo := max(im.rd.until, im.summary.Last-rules.Instant(im.rd.clockErrNs))
	last, err := im.node.commitStage(im.stage, im.rd.region, upTo)
	if err != nil {
		return Summary{}, err
	}
	im.summary.Offset = last
	im.summary.Refused, im.summary.Skipped = im.lists()
	return im.summary, nil
}
