package announce

import "photofinish/rules"

// Build makes the reports of a selection from a whole ledger, without tables.
func Build(cuts []rules.Cut, entries []rules.Entry, rulesets []*rules.Ruleset, sel Selection) ([]Report, error) {
	last := uint64(0)
	for i := range entries {
		if err := check(&entries[i]); err != nil {
			return nil, err
		}
		if entries[i].Kind == rules.KindSettled {
			last = max(last, entries[i].Cut)
		}
	}
	b, err := sel.bounds(last)
	if err != nil {
		return nil, err
	}
	told := map[uint64]uint64{}
	for i := range entries {
		if entries[i].Kind == rules.KindConflict && entries[i].Cut <= b.to {
			told[max(entries[i].Cut, b.from)]++
		}
	}
	return build(cuts, entries, rulesets, told, b)
}
