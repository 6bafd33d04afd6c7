package settle

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

// Until says how far a run settles.
type Until struct {
	// Through is the bound of the last cut. 0 is the last full period that every
	// node's watermark has passed.
	Through rules.Instant
	// Complete treats the log as complete up to Through: no node is waited for.
	Complete bool
	// Now bounds what watermarks may allow; 0 is no bound. It comes from the caller's
	// clock, and nothing is decided by it but how far the run goes.
	Now rules.Instant
}

// quietPeriods is how many periods without an event are closed one by one; a longer
// silence is closed in one cut, so that a stray old event costs no century of cuts.
const quietPeriods = 24

// HoleError says that offsets are missing in the merged log.
type HoleError struct {
	Node        string
	First, Last uint64 // the first hole, both included
}

func (e *HoleError) Error() string {
	return fmt.Sprintf("the merged log lacks offsets %d to %d of node %s: start that node, or import there once more, and its spool sends them again",
		e.First, e.Last, e.Node)
}

// Run settles every period that is due, one cut each, and takes in late events if
// any have come since the last cut. A cut that another run left unfinished is
// finished first, by the ruleset it names. It may be stopped at any point, and any
// number of runs may race: the next one goes on from what is recorded.
func (s *Settler) Run(ctx context.Context, set *rules.Ruleset, until Until) (Result, error) {
	result, err := s.run(ctx, set, until)
	if err != nil {
		s.state = nil // it may be half of two cuts
	}
	return result, err
}

func (s *Settler) run(ctx context.Context, set *rules.Ruleset, until Until) (Result, error) {
	var result Result
	if !s.cfg.DryRun {
		if err := s.store.keepRuleset(ctx, set); err != nil {
			return result, err
		}
	}
	// A crash here leaves a ruleset that no cut names: harmless.
	if err := s.stop(StepRuleset); err != nil {
		return result, err
	}
	if err := s.resume(ctx, set, &result); err != nil {
		return result, err
	}
	nodes, err := s.store.progress(ctx)
	if err != nil {
		return result, err
	}
	if len(nodes) == 0 {
		return result, nil
	}
	plan, err := s.plan(ctx, nodes, until)
	if err != nil {
		return result, err
	}
	result.Slowest = plan.slowest
	result.NewRules = s.state.told().Number > 0 && s.state.told().Ruleset != set.Digest
	if err := s.store.checkHoles(ctx, s.state.told(), plan.cut(s.state.told(), plan.target, set)); err != nil {
		return result, err
	}
	for {
		bounds, err := plan.next(ctx, s.state, s.store, set)
		if err != nil || len(bounds) == 0 {
			return result, err
		}
		cuts := plan.cuts(s.state.told(), bounds, set)
		if err := plan.reach(ctx, s.store, s.state.told(), cuts); err != nil {
			return result, err
		}
		if err := s.state.use(ctx, s.store, set); err != nil {
			return result, err
		}
		if err := s.state.lookAhead(ctx, s.store.conn, cuts); err != nil {
			return result, err
		}
		for _, cut := range cuts {
			if err := s.stop(StepPropose); err != nil {
				return result, err
			}
			same, err := s.close(ctx, cut, set, &result)
			if err != nil {
				return result, err
			}
			if !same {
				break // another settler's cut was first: plan anew
			}
		}
	}
}

// resume brings the state to the last recorded cut, finishing what is unfinished.
func (s *Settler) resume(ctx context.Context, set *rules.Ruleset, result *Result) error {
	if s.state == nil {
		st, err := s.load(ctx)
		if err != nil {
			return err
		}
		s.state = st
	}
	if s.cfg.FromScratch {
		return nil
	}
	recorded, err := s.store.readCuts(ctx, s.state.told().Number+1)
	if err != nil {
		return err
	}
	for _, cut := range recorded {
		if err := s.finish(ctx, cut, set, result); err != nil {
			return err
		}
	}
	return nil
}

// load reads the state of the last settled cut.
func (s *Settler) load(ctx context.Context) (*state, error) {
	st := newState()
	if s.cfg.FromScratch {
		return st, nil
	}
	last, err := s.store.lastSettled(ctx)
	if err != nil || last == 0 {
		return st, err
	}
	if err := s.store.checkSettled(ctx, last); err != nil {
		return nil, err
	}
	cuts, err := s.store.readCuts(ctx, 1)
	if err != nil {
		return nil, err
	}
	if uint64(len(cuts)) < last {
		return nil, fmt.Errorf("cut %d is settled but not recorded: restore the table cuts", last)
	}
	st.cuts = cuts[:last:last]
	set, err := s.store.ruleset(ctx, st.told().Ruleset)
	if err != nil {
		return nil, err
	}
	return st, st.use(ctx, s.store, set)
}

// close records a cut, or learns that another settler recorded one, and settles
// the one that was recorded. It reports whether that is the same.
func (s *Settler) close(ctx context.Context, cut rules.Cut, set *rules.Ruleset, result *Result) (bool, error) {
	recorded := cut
	if !s.cfg.DryRun {
		var err error
		if recorded, err = s.store.propose(ctx, &cut); err != nil {
			return false, err
		}
	}
	// A crash here leaves a cut without entries: the next run finishes it first.
	if err := s.stop(StepCut); err != nil {
		return false, err
	}
	return reflect.DeepEqual(recorded, cut), s.finish(ctx, recorded, set, result)
}

// finish settles a recorded cut by the ruleset it names.
func (s *Settler) finish(ctx context.Context, cut rules.Cut, set *rules.Ruleset, result *Result) error {
	if set.Digest != cut.Ruleset {
		named, err := s.store.ruleset(ctx, cut.Ruleset)
		if err != nil {
			return err
		}
		set = named
	}
	entries, err := s.settle(ctx, s.state, cut, set)
	if err != nil {
		return fmt.Errorf("settle cut %d through %s: %w", cut.Number, cut.Through, err)
	}
	if result.First == 0 {
		result.First = cut.Number
	}
	result.Last = cut.Number
	result.Entries += len(entries)
	last := entries[len(entries)-1]
	s.log.InfoContext(ctx, "cut settled", "cut", cut.Number, "through", cut.Through.String(), "events", last.Settled.Events,
		"late", last.Settled.Late, "entries", last.Settled.Entries, "digest", last.Settled.Digest)
	if s.cfg.Each != nil {
		s.cfg.Each(cut, entries)
	}
	return s.stop(StepSettled)
}

// progress returns how far each node has committed to the merged log.
func (s store) progress(ctx context.Context) ([]nodeProgress, error) {
	rows, err := s.conn.Query(ctx, `SELECT
    node,
    max(offset),
    max(watermark_ns),
    argMax(lagging, (published_ns, offset, watermark_ns, lagging))
FROM progress
GROUP BY node
ORDER BY node`)
	if err != nil {
		return nil, fmt.Errorf("read the nodes' progress: %w", err)
	}
	defer rows.Close()
	var nodes []nodeProgress
	for rows.Next() {
		var n nodeProgress
		var watermark int64
		if err := rows.Scan(&n.Node, &n.Offset, &watermark, &n.lagging); err != nil {
			return nil, fmt.Errorf("read the nodes' progress: %w", err)
		}
		n.Watermark = rules.Instant(watermark)
		nodes = append(nodes, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the nodes' progress: %w", err)
	}
	return nodes, nil
}

type nodeProgress struct {
	rules.NodeCut
	lagging []string // servers that hold the watermark back
}

// checkHoles refuses a cut that would read an offset which is not in the log. Only
// what no earlier cut has read is looked at.
func (s store) checkHoles(ctx context.Context, told *rules.Cut, cut rules.Cut) error {
	for _, n := range cut.Nodes {
		from := told.Offset(n.Node)
		if n.Offset <= from {
			continue
		}
		args := []any{clickhouse.Named("node", n.Node), clickhouse.Named("from", from), clickhouse.Named("to", n.Offset)}
		var there uint64
		err := s.conn.QueryRow(ctx, `SELECT uniqExact(offset) FROM event_log
WHERE node = {node:String} AND offset > {from:UInt64} AND offset <= {to:UInt64}`, args...).Scan(&there)
		if err != nil {
			return fmt.Errorf("look for holes of node %s: %w", n.Node, err)
		}
		if there == n.Offset-from {
			continue
		}
		hole := &HoleError{Node: n.Node}
		err = s.conn.QueryRow(ctx, `SELECT min(previous) + 1, argMin(offset, previous) - 1
FROM
(
    SELECT offset, lagInFrame(offset, 1, {from:UInt64}) OVER (ORDER BY offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
    FROM
    (
        SELECT DISTINCT offset FROM event_log WHERE node = {node:String} AND offset > {from:UInt64} AND offset <= {to:UInt64}
        UNION DISTINCT
        SELECT {to:UInt64} + 1
    )
)
WHERE offset > previous + 1`, args...).Scan(&hole.First, &hole.Last)
		if err != nil {
			return fmt.Errorf("look for holes of node %s: %w", n.Node, err)
		}
		return hole
	}
	return nil
}

// plan is what a run will close: the nodes as they were when it began, and the
// bounds of the cuts.
type plan struct {
	nodes    []nodeProgress
	target   rules.Instant
	complete bool
	period   rules.Instant
	busy     []rules.Instant // starts of the periods that hold events, from the last cut on
	late     bool            // late events were looked for
	slowest  rules.NodeCut   // where the watermarks said how far to settle
}

func (s *Settler) plan(ctx context.Context, nodes []nodeProgress, until Until) (*plan, error) {
	p := &plan{nodes: nodes, target: until.Through, complete: until.Complete, period: rules.Instant(s.cfg.Period)}
	if p.target == 0 {
		slowest := slices.MinFunc(nodes, func(a, b nodeProgress) int { return cmp.Compare(a.Watermark, b.Watermark) })
		p.target, p.slowest = slowest.Watermark, slowest.NodeCut
		if until.Now > 0 {
			p.target = min(p.target, until.Now) // an event from the future closes nothing
		}
		p.target -= p.target % min(p.period, rules.Instant(DefaultPeriod))
	}
	told := s.state.told()
	q := &query{}
	cut := p.cut(told, p.target, &rules.Ruleset{})
	statement := `SELECT DISTINCT intDiv(instant_ns, ` + q.param("Int64", int64(s.cfg.Period)) + `) AS period
FROM event_log
WHERE ` + q.within(&cut) + ` AND instant_ns >= ` + q.instant(told.Through) + `
ORDER BY period`
	rows, err := s.store.conn.Query(ctx, statement, q.args...)
	if err != nil {
		return nil, fmt.Errorf("find the periods to settle: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var period int64
		if err := rows.Scan(&period); err != nil {
			return nil, fmt.Errorf("find the periods to settle: %w", err)
		}
		p.busy = append(p.busy, rules.Instant(period)*p.period)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find the periods to settle: %w", err)
	}
	return p, nil
}

// cutsAhead bounds how many cuts are planned, and read ahead, at once.
const cutsAhead = 48

// next returns the bounds of the next cuts, none where nothing is due.
func (p *plan) next(ctx context.Context, st *state, db store, set *rules.Ruleset) ([]rules.Instant, error) {
	told := st.told()
	var bounds []rules.Instant
	for through := told.Through; through < p.target && len(bounds) < cutsAhead; {
		if told.Number == 0 && len(bounds) == 0 {
			if len(p.busy) == 0 {
				return nil, nil // no history begins with silence
			}
			through = p.busy[0]
		}
		through = p.bound(through)
		bounds = append(bounds, through)
	}
	cut := p.cut(told, told.Through, set)
	if len(bounds) > 0 || p.late || told.Number == 0 || !grown(told, &cut) {
		p.late = true // the next cut takes late events in
		return bounds, nil
	}
	p.late = true
	if err := st.use(ctx, db, set); err != nil {
		return nil, err
	}
	new, err := st.fresh(ctx, db.conn, &cut)
	if err != nil {
		return nil, err
	}
	countRivals(&new, st.rivals, told, &cut, st.conflicts)
	if new.events == 0 && !slices.ContainsFunc(st.rivals, func(r rival) bool {
		return cut.Holds(r.node, r.offset, r.instant) && !told.Holds(r.node, r.offset, r.instant)
	}) {
		return nil, nil // copies of what is known
	}
	return []rules.Instant{told.Through}, nil
}

// reach says of each candidate when the first event that it does not hold can have
// happened. Of those in the log that is known. Where the log is not complete others
// may come that are as uncertain as the worst so far.
func (p *plan) reach(ctx context.Context, db store, told *rules.Cut, cuts []rules.Cut) error {
	all := cuts[len(cuts)-1]
	all.Through = rules.MaxInstant
	q := &query{}
	rows, err := db.conn.Query(ctx, "SELECT "+cutNumberSQL(append(slices.Clone(cuts), all))+` AS cut, min(instant_ns - err_ns)
FROM event_log
WHERE `+q.within(&all)+" AND instant_ns >= "+q.instant(cuts[0].Through)+`
GROUP BY cut
ORDER BY cut`, q.args...)
	if err != nil {
		return fmt.Errorf("look beyond cut %d: %w", all.Number, err)
	}
	defer rows.Close()
	first := make([]rules.Instant, len(cuts)+1) // of the events of each cut, and of those beyond
	for i := range first {
		first[i] = math.MaxInt64
	}
	for rows.Next() {
		var cut int32
		var earliest int64
		if err := rows.Scan(&cut, &earliest); err != nil {
			return fmt.Errorf("look beyond cut %d: %w", all.Number, err)
		}
		first[cut] = rules.Instant(earliest)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look beyond cut %d: %w", all.Number, err)
	}
	errNs := told.ErrNs
	if grown(told, &all) {
		var more int64
		q = &query{}
		err := db.conn.QueryRow(ctx, "SELECT max(err_ns) FROM event_log WHERE "+q.within(&all)+" AND NOT "+q.offsets(told), q.args...).Scan(&more)
		if err != nil {
			return fmt.Errorf("look beyond cut %d: %w", all.Number, err)
		}
		errNs = max(errNs, more)
	}
	reach := rules.Instant(math.MaxInt64)
	for i := len(cuts) - 1; i >= 0; i-- {
		reach = min(reach, first[i+1])
		cuts[i].Reach, cuts[i].ErrNs = reach, errNs
		if !p.complete {
			cuts[i].Reach = min(reach, cuts[i].Through-rules.Instant(errNs))
		}
	}
	return nil
}

// bound returns the end of the period to close after from.
func (p *plan) bound(from rules.Instant) rules.Instant {
	floor := func(i rules.Instant) rules.Instant { return i - i%p.period }
	through, busy := floor(from)+p.period, p.target
	if i, _ := slices.BinarySearch(p.busy, floor(from)); i < len(p.busy) {
		busy = p.busy[i] // the period with the next event: close up to it
	}
	if (busy-through)/p.period > quietPeriods {
		through = floor(busy)
	}
	return min(through, p.target)
}

// cuts returns the candidates that follow told, one for each bound.
func (p *plan) cuts(told *rules.Cut, bounds []rules.Instant, set *rules.Ruleset) []rules.Cut {
	cuts := make([]rules.Cut, len(bounds))
	for i, through := range bounds {
		cuts[i] = p.cut(told, through, set)
		told = &cuts[i]
	}
	return cuts
}

// cut returns the candidate that follows told. Offsets and watermarks never go
// back, whatever order nodes publish in.
func (p *plan) cut(told *rules.Cut, through rules.Instant, set *rules.Ruleset) rules.Cut {
	cut := rules.Cut{Number: told.Number + 1, Through: through, Ruleset: set.Digest, Nodes: []rules.NodeCut{}, Lagging: []string{}}
	for _, n := range p.nodes {
		node := n.NodeCut
		if p.complete {
			node.Watermark = through
		}
		if node.Watermark < through {
			lagging := n.lagging
			if len(lagging) == 0 {
				lagging = []string{n.Node}
			}
			cut.Lagging = append(cut.Lagging, lagging...)
		}
		node.Watermark = min(node.Watermark, through)
		cut.Nodes = append(cut.Nodes, node)
	}
	for _, before := range told.Nodes {
		i := slices.IndexFunc(cut.Nodes, func(n rules.NodeCut) bool { return n.Node == before.Node })
		if i < 0 {
			cut.Nodes = append(cut.Nodes, before)
			continue
		}
		cut.Nodes[i].Offset = max(cut.Nodes[i].Offset, before.Offset)
		cut.Nodes[i].Watermark = max(cut.Nodes[i].Watermark, before.Watermark)
	}
	slices.SortFunc(cut.Nodes, rules.NodeCut.Compare)
	slices.Sort(cut.Lagging)
	cut.Lagging = slices.Compact(cut.Lagging)
	return cut
}
