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
	return build(cuts, entries, rulesets, b)
}
