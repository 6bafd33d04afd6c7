package ingest

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"

	"photofinish/ingest/spool"
	"photofinish/rules"
)

// What an import holds in memory, whatever it reads: of each input that is read ahead
// aheadBatches of aheadBytes, of all together what waits to be looked up, and beside that
// what MaxImportEvents and MaxWindowBytes say.
const (
	aheadInputs  = 4 // at most, beside the one that is taken; fewer where there are fewer processors
	aheadBatches = 16
	aheadBytes   = 1 << 20

	lookupEvents = 50_000   // so many events are looked up in the log at once,
	lookupBytes  = 16 << 20 // or fewer that take so much memory
)

// importing is one import under way.
type importing struct {
	lineCounts

	node     *Node
	rd       *reading
	stage    *spool.Stage
	summary  Summary
	seen     map[key]struct{} // identities, also with their content, of this import
	logs     map[key]*logFile // by the prefix of its ids
	waiting  []*part          // not yet looked up
	events   int              // in waiting
	bytes    int              // of waiting
	logTimes []logTime        // of the events of logs, one for each file that has some
	logOpen  bool             // the last of logTimes is of the file that is being taken
	mu       sync.Mutex       // guards progress and calls of report
	progress Progress
	report   func(Progress)
}

// logFile is a log of which lines were taken.
type logFile struct {
	where string
	lines int // so many of the first
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

// batch is what was read of one input since the last one.
type batch struct {
	parts   []*part
	size    int
	skipped int
	err     error // the input's end
}

// readAll unpacks and reads several inputs at once, each by one goroutine, and
// takes their results in order: what is staged does not depend on who was faster.
func (im *importing) readAll(ctx context.Context, list []input, format Format) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	// An input that is read ahead waits, when it has filled its queue, until those before
	// it were taken.
	ahead := make(chan (<-chan batch), min(runtime.GOMAXPROCS(0), aheadInputs))
	workers.Go(func() {
		defer close(ahead)
		for _, in := range list {
			queue := make(chan batch, aheadBatches)
			select {
			case ahead <- queue:
			case <-ctx.Done():
				return
			}
			workers.Go(func() {
				defer close(queue)
				im.read(ctx, in, format, queue)
			})
		}
	})
	for queue := range ahead {
		for b := range queue {
			if err := im.take(ctx, b); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return im.flush(ctx)
}

// read reads one input and puts batches of it in the queue, the last with the error.
func (im *importing) read(ctx context.Context, in input, format Format, queue chan<- batch) {
	var b batch
	send := func() error {
		select {
		case queue <- b:
			b = batch{}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	emit := func(p *part) error {
		done := Progress{Lines: p.lines}
		if p.end {
			done.Files = 1
		}
		im.advance(done)
		b.parts = append(b.parts, p)
		if b.size += p.size(); b.size < aheadBytes {
			return nil
		}
		return send()
	}
	b.err = in.each(ctx, format, func(bytes int64) { im.advance(Progress{Bytes: bytes}) },
		func(path, base string, f Format, r io.Reader) error {
			return im.rd.read(whereOf(in.path, path), base, f, r, emit)
		}, func() { b.skipped++ })
	if ctx.Err() != nil {
		b.err = context.Cause(ctx) // it is not the input's fault
	}
	_ = send() // it fails only where nobody waits for it
}

// take counts a batch and stages its events once there are enough for a lookup.
func (im *importing) take(ctx context.Context, b batch) error {
	im.summary.FilesSkipped += b.skipped
	for _, p := range b.parts {
		im.count(p)
		im.waiting = append(im.waiting, p)
		im.events += len(p.events)
		im.bytes += p.size()
		if im.events >= lookupEvents || im.bytes >= lookupBytes {
			if err := im.flush(ctx); err != nil {
				return err
			}
		}
	}
	if im.summary.Files+im.summary.FilesSkipped > MaxInputFiles {
		return fmt.Errorf("there are more than %d files; import them in parts", MaxInputFiles)
	}
	return b.err
}

func (im *importing) count(p *part) {
	im.add(p.lineCounts)
	im.summary.Lines += p.lines
	im.summary.Heartbeats += p.heartbeats
	if p.end {
		im.summary.Files++
	}
	extend(&im.summary.First, &im.summary.Last, p)
	im.countLog(p)
}

// countLog notes the time of a log's events. The parts of a file come one after the other.
func (im *importing) countLog(p *part) {
	if p.prefix != "" && p.first != 0 {
		if !im.logOpen {
			im.logTimes = append(im.logTimes, logTime{})
		}
		t := &im.logTimes[len(im.logTimes)-1]
		extend(&t.from, &t.to, p)
		im.logOpen = true
	}
	im.logOpen = im.logOpen && !p.end
}

func extend(first, last *rules.Instant, p *part) {
	if p.first != 0 && (*first == 0 || p.first < *first) {
		*first = p.first
	}
	*last = max(*last, p.last)
}

// flush looks the waiting events up in the log and stages what is new.
func (im *importing) flush(ctx context.Context) error {
	var ids []string
	for _, p := range im.waiting {
		for i := range p.events {
			ids = append(ids, p.events[i].id)
		}
	}
	logged := map[key]struct{}{}
	err := im.node.known(ctx, im.rd.server, ids, func(k key, content rules.Content, _ uint64) {
		logged[k], logged[k.with(content)] = struct{}{}, struct{}{}
	})
	if err != nil {
		return err
	}
	for _, p := range im.waiting {
		if err := im.contradiction(ctx, p); err != nil {
			return err
		}
		if err := im.stageNew(p, logged); err != nil {
			return err
		}
	}
	clear(im.waiting)
	im.waiting, im.events, im.bytes = im.waiting[:0], 0, 0
	if len(im.seen)/2 > MaxImportEvents {
		return fmt.Errorf("there are more than %d events; import them in parts", MaxImportEvents)
	}
	return nil
}

// contradiction refuses a log whose ids are those of another one in this import and
// whose lines say something else. Two copies of one log are only duplicates, and so is
// one that has grown meanwhile, whichever of them comes first.
func (im *importing) contradiction(ctx context.Context, p *part) error {
	if p.prefix == "" {
		return nil
	}
	k := identityKey("", p.prefix)
	log := im.logs[k]
	if log == nil {
		im.logs[k] = &logFile{p.where, p.to}
		return nil
	}
	events := p.events
	for line := p.from; line <= min(p.to, log.lines); line++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		same := true
		if len(events) > 0 && events[0].line == line {
			_, same = im.seen[events[0].key.with(events[0].mark)]
			events = events[1:]
		} else if _, event := im.seen[identityKey(im.rd.server, p.prefix+strconv.Itoa(line))]; event {
			same = false
		}
		if !same {
			return &InputError{Path: p.where, Err: fmt.Errorf("its name and first line are those of %s, but up to line %d the two are not the same; "+
				"events are known by name, first line and number, so import the two as two servers or rename one", log.where, line)}
		}
	}
	log.lines = max(log.lines, p.to)
	return nil
}

func (im *importing) stageNew(p *part, logged map[key]struct{}) error {
	for i := range p.events {
		e := &p.events[i]
		_, known := logged[e.key]
		_, knownHere := im.seen[e.key]
		_, same := logged[e.key.with(e.content)]
		marked := e.key.with(e.mark)
		_, sameHere := im.seen[marked]
		im.seen[e.key], im.seen[marked] = struct{}{}, struct{}{}
		if same || sameHere {
			im.summary.Duplicates++
			continue
		}
		if known || knownHere {
			im.summary.Conflicts++
			if im.summary.Conflict == "" {
				im.summary.Conflict = fmt.Sprintf("%s:%d", p.where, e.line)
			}
		}
		if err := im.stage.Append(p.payloads[e.start:e.end]); err != nil {
			return err
		}
	}
	return nil
}
