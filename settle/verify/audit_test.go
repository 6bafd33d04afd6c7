package verify

import (
	"testing"
	"time"

	"photofinish/rules"
)

// What only rules that are wrong could write into a ledger is found in it all the same:
// an effect twice, and more units than there are.
func TestAudit(t *testing.T) {
	hour := rules.Instant(time.Hour)
	sold := func(id string, units int64, state rules.AllocationState) rules.Entry {
		return rules.Entry{Kind: rules.KindAllocation, Rule: "sale", Scope: rules.World, Allocation: &rules.Allocation{
			Attempt: rules.Identity{Server: "s", ID: id}, Units: units, Stock: 3, State: state,
		}}
	}
	gift := rules.Entry{Kind: rules.KindPrize, Key: "pf-1", Prize: &rules.Grant{}}
	other := sold("3", 3, rules.Reserved)
	other.Window = rules.Window{Opens: hour, Closes: 2 * hour}
	for _, test := range []struct {
		name string
		cuts [][]rules.Entry
		want int
	}{
		{"an effect once", [][]rules.Entry{{gift}}, 0},
		{"an effect twice in a cut", [][]rules.Entry{{gift, gift}}, 1},
		{"an effect in two cuts", [][]rules.Entry{{gift}, {gift}}, 1},
		{"all that there is", [][]rules.Entry{{sold("1", 1, rules.Reserved)}, {sold("2", 2, rules.Reserved)}}, 0},
		{"one too many", [][]rules.Entry{{sold("1", 1, rules.Reserved)}, {sold("2", 3, rules.Reserved)}}, 1},
		{"one given back", [][]rules.Entry{{sold("1", 1, rules.Reserved)}, {sold("1", 0, rules.SoldOut), sold("2", 3, rules.Reserved)}}, 0},
		{"two windows", [][]rules.Entry{{sold("1", 1, rules.Reserved), other}}, 0},
	} {
		v := Verification{}
		a := newAudit()
		for _, entries := range test.cuts {
			a.add(entries, &v)
		}
		if len(v.Mismatches) != test.want {
			t.Errorf("%s: %q", test.name, v.Mismatches)
		}
	}
}

// A cut that knows less than the one before is named.
func TestGrowing(t *testing.T) {
	before := rules.Cut{Number: 1, Through: 10, AsOf: 20, ClosedAt: 30, Nodes: []rules.NodeLine{{Node: "n", Offset: 5}}}
	for _, test := range []struct {
		name   string
		change func(*rules.Cut)
		want   int
	}{
		{"the same", func(*rules.Cut) {}, 0},
		{"more", func(c *rules.Cut) { c.Through, c.AsOf, c.ClosedAt = 11, 21, 31 }, 0},
		{"through", func(c *rules.Cut) { c.Through = 9 }, 1},
		{"as_of", func(c *rules.Cut) { c.AsOf = 19 }, 1},
		{"closed_at", func(c *rules.Cut) { c.ClosedAt = 29 }, 1},
		{"an offset", func(c *rules.Cut) { c.Nodes = []rules.NodeLine{{Node: "n", Offset: 4}} }, 1},
		{"a node", func(c *rules.Cut) { c.Nodes = nil }, 1},
		{"a late cut that moves", func(c *rules.Cut) { c.Kind, c.Through = rules.LateCut, 11 }, 1},
	} {
		v, cut := Verification{}, before
		cut.Number = 2
		test.change(&cut)
		sealed := rules.Seal(1, nil, rules.Settled{Record: before.Digest()})
		cut.Previous = sealed[0].ID
		b := &books{
			cuts: []rules.Cut{before, cut}, ledger: []written{{1, sealed}}, known: 2,
			rulesets: map[string]*rules.Ruleset{"": {}},
		}
		if b.chain(&v); len(v.Mismatches) != test.want {
			t.Errorf("%s: %q", test.name, v.Mismatches)
		}
	}
}
