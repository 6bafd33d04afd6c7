package hour

import (
	"fmt"
	"slices"

	"photofinish/rules"
)

// Plan is the next thing to do.
type Plan struct {
	Cut      *rules.Cut // to record and settle; nil: nothing is due
	Resume   bool       // Cut is recorded already
	Warnings []string   // what a person should know, in words
}

// Next returns the first cut that is due. closedAt is the store's clock, which
// decides nothing but deadlines of money; ruleset is the digest of the rules of the
// run.
func (c Config) Next(now Now, last Last, progress Progress, log Log, closedAt rules.Instant, ruleset string) (Plan, error) {
	if last.Unsettled {
		return Plan{Cut: &last.Cut, Resume: true}, nil
	}
	p := planner{Config: c.withDefaults(), now: now, t: now.T, last: &last, progress: progress, log: log}
	if len(progress.Rows) == 0 {
		return Plan{}, nil
	}
	p.trust()
	lines, err := p.lines()
	if err != nil {
		return Plan{Warnings: p.warnings}, err
	}
	cut, err := p.next(lines)
	if err != nil || cut == nil {
		return Plan{Warnings: p.warnings}, err
	}
	cut.Number, cut.Complete = last.Cut.Number+1, now.Mode == Through
	cut.Ruleset, cut.Previous = ruleset, last.SettledID
	cut.ClosedAt = max(closedAt, last.Cut.ClosedAt)
	cut.Receipts, cut.Nodes = []rules.Partition{}, lines
	return Plan{Cut: cut, Warnings: p.warnings}, nil
}

// planner is what a run has read, once, and what it plans from that.
type planner struct {
	Config
	now      Now
	t        rules.Instant // the time of the run
	last     *Last
	progress Progress
	log      Log
	warnings []string
}

// trust bounds the clock of a scheduled run by the newest row of progress: two clocks
// must agree that it is late.
func (p *planner) trust() {
	if p.now.Mode != Scheduled {
		return
	}
	newest := p.progress.Rows[0].At
	for _, r := range p.progress.Rows {
		newest = max(newest, r.At)
	}
	if limit := newest.Add(p.Trust); p.t > limit {
		p.warnings = append(p.warnings, fmt.Sprintf(
			"the clock says %s, and no node has spoken since %s: settling as if it were %s; check the clock, and that the nodes run",
			p.t, newest, limit))
		p.t = limit
	}
}

// target is the end of the last hour that is due.
func (p *planner) target() rules.Instant {
	switch p.now.Mode {
	case Through:
		return p.t
	case At:
		return p.floor(p.t)
	default:
		return p.floor(p.t.Add(-p.Delay))
	}
}

func (p *planner) floor(i rules.Instant) rules.Instant { return i - i%rules.Instant(p.Period) }

// next returns the cut that is due, without what all cuts have.
func (p *planner) next(lines []rules.NodeLine) (*rules.Cut, error) {
	target, through := p.target(), p.last.Cut.Through
	if p.last.Cut.Number == 0 {
		first, ok, err := p.log.First(lines)
		if err != nil || !ok {
			return nil, err
		}
		if through = p.floor(first); through >= target {
			return nil, nil
		}
	}
	if through < target {
		return p.hour(through, target, lines)
	}
	return p.late(lines)
}

// hour returns the cut that closes the period after through.
func (p *planner) hour(through, target rules.Instant, lines []rules.NodeLine) (*rules.Cut, error) {
	period := rules.Instant(p.Period)
	from := p.floor(through)
	end := min(from+period, target)
	if (target-from)/period > quietPeriods {
		busy, err := p.log.Busy(lines, from, target, p.Period)
		if err != nil {
			return nil, err
		}
		quiet := target // the start of the period with the next event
		if len(busy) > 0 {
			quiet = busy[0]
		}
		if (quiet-from)/period > quietPeriods {
			end = p.floor(quiet)
		}
	}
	asOf := min(end.Add(p.Delay), p.t)
	if p.now.Mode == Through {
		asOf = end
	}
	return &rules.Cut{Kind: rules.HourCut, Through: end, AsOf: max(p.last.Cut.AsOf, asOf)}, nil
}

// late returns the cut that takes in what has come since, or what the last cut left.
func (p *planner) late(lines []rules.NodeLine) (*rules.Cut, error) {
	last := &p.last.Cut
	cut := &rules.Cut{Kind: rules.LateCut, Through: last.Through, AsOf: max(last.AsOf, p.t)}
	switch p.last.Again {
	case rules.AgainRest:
		cut.AsOf = last.AsOf
		return cut, nil
	case rules.AgainDraw:
		return cut, nil
	}
	if !slices.ContainsFunc(lines, func(l rules.NodeLine) bool { return l.Offset > last.Offset(l.Node) }) {
		return nil, nil
	}
	late, err := p.log.Late(last, lines)
	if err != nil || !late {
		return nil, err
	}
	return cut, nil
}

// lines returns a line for each node that the rows or the last cut know, by node.
func (p *planner) lines() ([]rules.NodeLine, error) {
	var nodes []string
	for _, r := range p.progress.Rows {
		nodes = append(nodes, r.Node)
	}
	for _, l := range p.last.Cut.Nodes {
		nodes = append(nodes, l.Node)
	}
	slices.Sort(nodes)
	lines := []rules.NodeLine{}
	for _, node := range slices.Compact(nodes) {
		line, ok, err := p.line(node)
		if err != nil {
			return nil, err
		}
		if ok {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// line returns what a cut knows of a node. That is the newest row, ended before the
// first hole. It is the last cut's line as a whole where that was read from a later row:
// another settler read the progress later than this run. And it is the last cut's line
// where the newest row was counted in another life of the engine and has not been
// counted anew: rows may be gone. The line stays until that was done, or until the node is
// excused or retired and what is there of it is all that will be.
func (p *planner) line(node string) (rules.NodeLine, bool, error) {
	row, told := p.newest(node)
	before := p.last.Cut.Line(node)
	switch {
	case before != nil && (!told || before.Published > row.Published):
		return *before, true, nil
	case !p.counted(row) && !p.retired(row) && p.t-row.At <= rules.Instant(p.Excuse):
		p.warnings = append(p.warnings, fmt.Sprintf(
			"what node %s has sent was not counted since the engine was restarted: it is read when its node has done so", node))
		if before == nil {
			return rules.NodeLine{}, false, nil
		}
		return p.state(*before, row), true, nil
	}
	upTo := row.Offset
	if after := p.last.Cut.Offset(node); upTo > after {
		hole, ok, err := p.log.Hole(node, after, upTo, slices.Concat(row.Lost, row.Void))
		if err != nil {
			return rules.NodeLine{}, false, err
		}
		if ok {
			p.warnings = append(p.warnings, fmt.Sprintf(
				"the merged log lacks offsets %d to %d of node %s: what follows is read when its spool has sent them again", hole.First, hole.Last, node))
			upTo = hole.First - 1
		}
	}
	return p.state(p.said(row, before, upTo), row), true, nil
}

// said returns the line that ends at upTo. Its watermarks are those of the newest row that
// does not lie beyond that: a later row speaks for events that the line does not read.
func (p *planner) said(row Row, before *rules.NodeLine, upTo uint64) rules.NodeLine {
	word, found := row, row.Offset <= upTo
	if !found {
		for _, r := range p.progress.Rows {
			if r.Node == row.Node && r.Offset <= upTo && (!found || r.Published > word.Published) {
				word, found = r, true
			}
		}
	}
	line := rules.NodeLine{
		Node: row.Node, Published: row.Published, Offset: upTo, Since: row.At,
		Lost: orNone(row.Lost), Void: orNone(row.Void), Unused: row.Unused, Regions: []rules.RegionMark{}, Silent: []rules.SilentServer{},
	}
	if before != nil { // what is lost stays lost, also where the row that said so was forgotten
		line.Lost = rules.Join(before.Lost, line.Lost)
	}
	switch {
	case found:
		line.Watermark, line.Regions, line.Silent = word.Watermark, slices.Clone(orNone(word.Regions)), orNone(word.Silent)
	case before != nil: // every row that was read lies beyond the hole
		line.Watermark, line.Regions, line.Silent, line.Others = before.Watermark, slices.Clone(before.Regions), before.Silent, before.Others
	default:
		line.Watermark, line.Others = rules.MinInstant, rules.MinInstant
	}
	return line
}

// state says whether the line is waited for, and cuts its watermarks down where the
// node has not spoken lately: since then, a server that fell silent elsewhere may have
// moved there.
func (p *planner) state(line rules.NodeLine, row Row) rules.NodeLine {
	if p.t-line.Since > rules.Instant(2*Beat) {
		limit := line.Since.Add(-p.Silence)
		line.Watermark, line.Others = min(line.Watermark, limit), limit
		line.Regions = slices.Clone(line.Regions)
		for i := range line.Regions {
			line.Regions[i].Watermark = min(line.Regions[i].Watermark, limit)
		}
	}
	line.State = rules.NodeLive
	switch {
	case p.retired(row):
		line.State = rules.NodeRetired
	case p.t-line.Since > rules.Instant(p.Excuse):
		line.State = rules.NodeExcused
	}
	return line
}

// retired reports whether the node is as it was when a person retired it: a beat does
// not undo that, an event does.
func (p *planner) retired(row Row) bool {
	return slices.ContainsFunc(p.progress.Retired, func(r Retirement) bool { return r.Node == row.Node && r.Offset >= row.Offset })
}

// newest returns the node's row with the highest number.
func (p *planner) newest(node string) (Row, bool) { return p.progress.Newest(node) }

// counted reports whether the row's offsets were counted in the log under the engine's
// present life.
func (p *planner) counted(row Row) bool {
	return row.Life == "" || p.progress.Lives == nil || slices.Contains(p.progress.Lives, row.Life)
}

func orNone[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
