package verify

import (
	"cmp"
	"maps"
	"slices"

	"photofinish/rules"
)

// replay settles cuts in order, in memory. What is new in a cut is added to what each
// contest has of each subject; a contest is decided again where something was added or
// something waits, from everything there is about it.
type replay struct {
	*history
	secret    string
	cut       rules.Cut // the last one
	id        string    // of the entry that ended it
	digest    string    // that this entry holds
	lacks     []rules.Lack
	taken     int // cuts whose rows are in the contests
	set       *rules.Ruleset
	order     map[string]int // of the rules in the set
	standings map[rules.ContestID]*rules.Standing
	contests  map[rules.ContestID]*contest // of the set's rules
	active    []*contest                   // to decide: touched, or something waits
	swept     int                          // how many contests were left when closed ones were last dropped
}

func newReplay(secret string, h *history) *replay {
	return &replay{
		history: h, secret: secret, standings: map[rules.ContestID]*rules.Standing{}, contests: map[rules.ContestID]*contest{},
	}
}

// settle decides a cut.
func (r *replay) settle(cut *rules.Cut, set *rules.Ruleset) []rules.Entry {
	m := rules.Moment{Cut: cut, Previous: &r.cut}
	if r.set == nil || r.set.Digest != set.Digest {
		r.use(set)
	}
	in := &r.cuts[r.taken]
	settled := rules.Settled{Previous: r.id, Record: cut.Digest(), Lost: cut.Losses(), Rules: set.TallyKeys(), Events: uint64(len(in.fresh))}
	settled.Lacks, settled.MoreLack = rules.Lacks(r.lacks, in.numbers, cut.AsOf)
	r.countRows(in, &settled)
	r.takeIn(in, m, &settled)
	entries := slices.Clone(in.conflicts)
	found := len(entries)
	decide := r.active
	r.active = nil
	slices.SortFunc(decide, func(a, b *contest) int {
		return cmp.Or(cmp.Compare(r.order[a.Rule.ID], r.order[b.Rule.ID]), a.Compare(b.Contest))
	})
	for i, c := range decide {
		d := c.Settle(r.evidence(c, cut), r.standing(c.ID()), m, rules.MaxEntries-len(entries))
		full := len(entries) > found && len(entries)+len(d.Entries) > rules.MaxEntries
		if full {
			d = rules.Decision{Again: rules.AgainRest}
		}
		entries = append(entries, d.Entries...)
		if d.Again != "" {
			settled.Again = d.Again
		}
		if d.Again == rules.AgainRest {
			r.active = append(r.active, decide[i:]...) // due in the next cut, with what touched them
			break
		}
		if c.decided(); d.Waits {
			r.active = append(r.active, c)
		} else {
			c.active = false
		}
	}
	entries = append(entries, rules.OpenCommitments(set, r.secret, cut, r.committed(entries))...)
	sealed := rules.Seal(cut.Number, entries, settled)
	r.apply(cut, sealed)
	if len(r.contests) > 2*r.swept+8 {
		r.sweep(rules.Moment{Cut: cut, Previous: cut})
	}
	return sealed
}

// sweep drops what is known of contests that nothing changes any more, so that memory
// grows with those that are open. What stands of them is kept, and another ruleset
// reads them anew. Done when their number has doubled, it costs little for each.
func (r *replay) sweep(m rules.Moment) {
	maps.DeleteFunc(r.contests, func(id rules.ContestID, c *contest) bool {
		return !c.active && !c.Open(r.standing(id), m)
	})
	r.swept = len(r.contests)
}

// committed returns whether the ledger, or the cut itself, commits to a contest's seeds.
func (r *replay) committed(entries []rules.Entry) func(rules.Contest) bool {
	now := map[rules.ContestID]bool{}
	for i := range entries {
		if e := &entries[i]; e.Kind == rules.KindCommitment {
			now[contestOf(e)] = true
		}
	}
	return func(c rules.Contest) bool { return now[c.ID()] || r.standing(c.ID()).Commitment() != nil }
}

func contestOf(e *rules.Entry) rules.ContestID {
	return rules.ContestID{Rule: e.Rule, Scope: e.Scope, Window: e.Window}
}

// apply ends a cut with the entries that stand for it, which were decided or are taken
// from the ledger. The first cut to be decided finds all rows and looks at every contest.
func (r *replay) apply(cut *rules.Cut, sealed []rules.Entry) {
	for i := range sealed {
		e := &sealed[i]
		if e.Rule == "" || !complete(e) {
			continue
		}
		id := contestOf(e)
		if r.standings[id] == nil {
			r.standings[id] = &rules.Standing{}
		}
		r.standings[id].Apply(*e)
		if rule := r.rule(e.Rule); rule != nil {
			r.contest(rules.Contest{Rule: rule, Scope: e.Scope, Window: e.Window})
		}
	}
	end := &sealed[len(sealed)-1]
	r.cut, r.id, r.digest, r.taken = *cut, end.ID, end.Settled.Digest, r.taken+1
	r.lacks = end.Settled.Lacks
}

func (r *replay) rule(id string) *rules.Rule {
	if r.set == nil {
		return nil
	}
	return r.set.Rule(id)
}

// standing returns what stands of a contest; a contest of which nothing was decided has
// one that is empty.
func (r *replay) standing(id rules.ContestID) *rules.Standing {
	if st := r.standings[id]; st != nil {
		return st
	}
	return &rules.Standing{}
}

// use takes another ruleset: what counts is sorted into contests anew, and each is
// decided again. It costs a pass over the log.
func (r *replay) use(set *rules.Ruleset) {
	r.set, r.order, r.active = set, map[string]int{}, nil
	r.contests, r.swept = map[rules.ContestID]*contest{}, 0
	for i := range set.Rules {
		r.order[set.Rules[i].ID] = i
	}
	for i := range r.log {
		for j := range set.Rules {
			if rule := &set.Rules[j]; rule.Kind == rules.WorldFirst {
				if c, ok := rule.ContestOf(&r.log[i]); ok {
					known := r.contest(c)
					known.later = append(known.later, i)
				}
			}
		}
	}
	for i := range r.taken {
		for _, row := range r.cuts[i].fresh {
			r.add(row)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(r.standings), rules.ContestID.Compare) {
		if rule := set.Rule(id.Rule); rule != nil {
			r.contest(rules.Contest{Rule: rule, Scope: id.Scope, Window: id.Window})
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(r.contests), rules.ContestID.Compare) {
		c := r.contests[id]
		slices.SortFunc(c.later, func(a, b int) int {
			return cmp.Or(cmp.Compare(r.log[a].Earliest, r.log[b].Earliest), cmp.Compare(a, b))
		})
		r.activate(c)
	}
}

func (r *replay) activate(c *contest) {
	if !c.active {
		c.active = true
		r.active = append(r.active, c)
	}
}

// takeIn adds what is new in a cut to the contests, and counts it.
func (r *replay) takeIn(in *intake, m rules.Moment, settled *rules.Settled) {
	for _, row := range in.fresh {
		rec := &r.log[row]
		if rec.Instant < r.cut.Through {
			settled.Late++
		}
		for _, c := range r.add(row) {
			if c.TooLate(rec, r.standing(c.ID()), m) {
				settled.TooLate++
			}
		}
	}
}

// add sorts a record into the contests that it counts in, and returns them.
func (r *replay) add(row int) []*contest {
	var all []*contest
	rec := &r.log[row]
	for i := range r.set.Rules {
		rule := &r.set.Rules[i]
		if of, ok := rule.ContestOf(rec); ok {
			c := r.contest(of)
			c.add(rule.SubjectOf(&rec.Event), row, rec.Backdated)
			r.activate(c)
			all = append(all, c)
		}
	}
	return all
}

// countRows counts what the settled entry says of rows.
func (r *replay) countRows(in *intake, settled *rules.Settled) {
	behind := map[string]uint64{}
	refused := make([]uint64, len(r.set.Rules))
	last := make([]rules.Identity, len(r.set.Rules)) // rows come by identity
	for _, row := range in.rows {
		rec := &r.log[row]
		if line := r.cut.Line(rec.Node); line != nil && rec.Offset > line.Offset && rec.Earliest < line.Watermark {
			behind[rec.Node]++
		}
		for j := range r.set.Rules {
			rule := &r.set.Rules[j]
			if _, ok := rule.ContestOf(rec); !ok {
				continue
			}
			if _, read := rule.Amount(&rec.Event); !read && (refused[j] == 0 || last[j] != rec.Identity()) {
				refused[j]++
				last[j] = rec.Identity()
			}
		}
	}
	for j, n := range refused {
		if n > 0 {
			settled.Refused = append(settled.Refused, rules.Tally{Name: r.set.Rules[j].ID, Count: n})
		}
	}
	slices.SortFunc(settled.Refused, func(a, b rules.Tally) int { return cmp.Compare(a.Name, b.Name) })
	for _, node := range slices.Sorted(maps.Keys(behind)) {
		settled.Behind = append(settled.Behind, rules.Tally{Name: node, Count: behind[node]})
	}
}
