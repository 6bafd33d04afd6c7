package rules_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"photofinish/rules"
	"photofinish/rules/rulestest"
)

// Whatever a changed server sends of a time that it had declared complete: once what is
// honest has come and is settled, it takes nothing away that was given, at once or with what
// it sends later, of whomever it tells, and neither do honest events that go on meanwhile.
func TestBackdatedEventsAloneTakeNothing(t *testing.T) {
	for _, name := range []string{"calm", "late", "kept", "clocks", "copies", "crowd"} {
		t.Run(name, func(t *testing.T) {
			rounds, seen := 40, map[rules.EntryKind]int{}
			if testing.Short() {
				rounds /= 5
			}
			if n, err := strconv.Atoi(os.Getenv("PFTEST_HISTORIES")); err == nil {
				rounds = n
			}
			for round := range rounds {
				rng := rand.New(rand.NewPCG(uint64(round), 21))
				f := newForger(t, rng, rulestest.Wilds()[name])
				for range 3 {
					f.quiet()
				}
				for i := range 4 {
					for _, e := range f.forge() {
						seen[e.Kind]++
						if e.Rule == "" || f.set.Rule(e.Rule).Trust == rules.TrustLate {
							continue
						}
						if x := e.Correction; x != nil && x.Policy != rules.Keep && !f.held[x.Corrects] {
							t.Errorf("round %d, forged the %d. time, cut %d: %s of %q: %+v", round, i+1, e.Cut, e.Kind, e.Rule, *x)
						}
						if x := e.Compensation; x != nil && x.Takes {
							t.Errorf("round %d, forged the %d. time, cut %d: %s of %q: %+v", round, i+1, e.Cut, e.Kind, e.Rule, *x)
						}
					}
				}
			}
			for _, kind := range []rules.EntryKind{rules.KindWaiting, rules.KindAward, rules.KindAllocation} {
				if seen[kind] == 0 {
					t.Errorf("nothing that was forged came to an entry %s", kind)
				}
			}
			t.Log(seen)
		})
	}
}

// forger is a history with a node whose servers lie.
type forger struct {
	*rules.Simulation
	rng  *rand.Rand
	wild rulestest.Wildness
	log  []rules.Record
	cut  rules.Cut
	set  *rules.Ruleset
	held map[string]bool // the IDs of awards that were held, of subjects that had never been given one
	had  map[string]bool // the subjects that had, by contest
	sent uint64
}

func newForger(t *testing.T, rng *rand.Rand, w rulestest.Wildness) *forger {
	h := rulestest.Random(t, rng, w)
	last := h.Cuts[len(h.Cuts)-1]
	f := &forger{
		Simulation: rules.NewSimulation("secret"), rng: rng, wild: w, log: h.Log, cut: last.Cut, set: last.Ruleset, held: map[string]bool{}, had: map[string]bool{},
	}
	for i := range h.Cuts {
		f.note(f.Settle(f.log, &h.Cuts[i].Cut, f.set))
	}
	return f
}

// quiet settles hours in which nothing comes.
func (f *forger) quiet() []rules.Entry {
	f.cut.Number++
	f.cut.Kind, f.cut.Complete = rules.HourCut, true
	f.cut.Through += 7*rulestest.Minutes(60) - 7*rulestest.Minutes(0)
	f.cut.AsOf = f.cut.Through
	entries := f.Settle(f.log, &f.cut, f.set)
	f.note(entries)
	return entries
}

// forge settles hours in which backdated events of any time and anybody come, and honest
// ones that have just happened.
func (f *forger) forge() []rules.Entry {
	for range 40 {
		f.sent++
		r := rulestest.Event(f.rng, 100_000+int(f.sent), f.wild)
		if r.Node, r.Offset, r.Backdated = "forger", f.sent, true; f.rng.IntN(4) == 0 {
			r.Backdated = false
			r.At = f.cut.Through
			r.Instant = r.At
			r.Exactly(0)
		}
		r.Content = r.Digest()
		f.log = append(f.log, r)
	}
	f.cut.Nodes = slices.DeleteFunc(slices.Clone(f.cut.Nodes), func(l rules.NodeLine) bool { return l.Node == "forger" })
	f.cut.Nodes = append(f.cut.Nodes, rules.NodeLine{Node: "forger", Offset: f.sent, Watermark: f.cut.Through, State: rules.NodeLive})
	slices.SortFunc(f.cut.Nodes, func(a, b rules.NodeLine) int { return strings.Compare(a.Node, b.Node) })
	return f.quiet()
}

func (f *forger) note(entries []rules.Entry) {
	for _, e := range entries {
		if a := e.Award; a != nil {
			key := e.Rule + string(e.Scope) + e.Window.Opens.String() + a.Claim.Subject
			if f.had[key] = f.had[key] || a.State != rules.Held; !f.had[key] {
				f.held[e.ID] = true
			}
		}
	}
}
