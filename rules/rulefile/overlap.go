package rulefile

import (
	"slices"

	"photofinish/rules"
)

// refuseOverlaps reports each sale that could take an attempt which a sale before it
// of the same sku takes as well: one attempt would get two units, and one of two
// stocks would be sold over and over. The parsed rules are those of the items; one
// that has a problem of its own is not compared.
func refuseOverlaps(report *reporter, items []cursor, parsed []rules.Rule) {
	broken := map[string]bool{}
	for _, p := range report.problems {
		broken[p.Rule] = true
	}
	bySKU := map[string][]int{}
	for i := range parsed {
		r := &parsed[i]
		if r.Kind != rules.Sale || broken[ruleName(items[i].node, i+1)] {
			continue
		}
		for _, j := range bySKU[r.SKU] {
			if !overlap(r, &parsed[j]) {
				continue
			}
			report.rule = ruleName(items[i].node, i+1)
			items[i].field("sku").problem("%s is sold by the rule %s too, and both would take an attempt: let their windows or their conditions exclude each other",
				quote(r.SKU), quote(ruleName(items[j].node, j+1)))
			break
		}
		bySKU[r.SKU] = append(bySKU[r.SKU], i)
	}
}

// field returns a field of a rule that is known to have it.
func (c cursor) field(name string) cursor {
	i := slices.IndexFunc(c.node.entries, func(e yamlEntry) bool { return e.key == name })
	return c.child(name, c.node.entries[i].value)
}

// overlap reports whether an attempt may count for both sales. Scopes never keep two
// sales apart, since every attempt is in the world, in a region and on a server; what
// can is a condition, and a window between two instants.
func overlap(a, b *rules.Rule) bool {
	if v, w := a.Window.Fixed, b.Window.Fixed; !v.Forever() && !w.Forever() && (v.Closes <= w.Opens || w.Closes <= v.Opens) {
		return false
	}
	for i := range a.When {
		for j := range b.When {
			if a.When[i].Key == b.When[j].Key && exclusive(&a.When[i], &b.When[j]) {
				return false
			}
		}
	}
	return true
}

// exclusive reports whether no value satisfies both conditions.
func exclusive(a, b *rules.Condition) bool {
	if a.Gte != nil && b.Lte != nil && *a.Gte > *b.Lte || a.Lte != nil && b.Gte != nil && *a.Lte < *b.Gte {
		return true
	}
	if a.AnyOf == nil {
		a, b = b, a
	}
	return a.AnyOf != nil && !slices.ContainsFunc(a.AnyOf, b.Holds)
}
