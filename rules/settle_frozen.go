package rules

import "slices"

// frozen reports whether wrong awards must stand all the same, and why.
func (c Contest) frozen(wrong []Entry, h Horizon) (bool, string) {
	if len(wrong) == 0 {
		return false, ""
	}
	for _, w := range wrong {
		if w.Award.FinalAt <= h.Told {
			return true, "the award was final"
		}
	}
	return c.Rule.OnCorrection == Keep, "the rule keeps what was awarded"
}

// standFast keeps every award that was given although the evidence, which gives
// placed, says otherwise. It says once of each wrong one what was found, and gives
// the places that are left around them, as if those who keep theirs had never run.
//
// Awards given around others are right where that puts them. If later evidence says
// otherwise they stand too, and the next ones are given around them as well: so
// each award has a generation, and only the last one is not settled yet.
func (c Contest) standFast(claims []Claim, placed []Placement, st *Standing, draw Draw, why string) ([]Entry, []Placement) {
	var entries, fixed []Entry
	for generation := 0; generation <= st.generation; generation++ {
		var given []Entry
		for _, e := range st.awards {
			if e.Award.State != Held && st.around[e.ID] == generation {
				given = append(given, e)
			}
		}
		right := placed
		if generation > 0 {
			right = c.left(fixed, claims, draw)
		}
		wrong := misplaced(given, right)
		entries = append(entries, c.findings(wrong, right, st, why)...)
		if generation > 0 && generation == st.generation && len(wrong) == 0 {
			return entries, append(placements(fixed), right...)
		}
		fixed = append(fixed, given...)
	}
	return entries, append(placements(fixed), c.left(fixed, claims, draw)...)
}

func placements(awards []Entry) []Placement {
	placed := make([]Placement, len(awards))
	for i, e := range awards {
		placed[i] = Placement{Place: e.Award.Place, Claim: e.Award.Claim, Tied: e.Award.Tied}
	}
	return placed
}

// left gives the places that awards leave to claims of others.
func (c Contest) left(awards []Entry, claims []Claim, draw Draw) []Placement {
	taken := map[string]bool{}
	for _, e := range awards {
		taken[e.Award.Claim.Subject] = true
	}
	others := slices.DeleteFunc(slices.Clone(claims), func(cl Claim) bool { return taken[cl.Subject] })
	rest := Place(others, c.Rule.Places-len(awards), c.Rule.Tie, draw)
	for i := range rest {
		rest[i].Place += len(awards)
	}
	return rest
}

// misplaced returns the awards that are not among placed.
func misplaced(awards []Entry, placed []Placement) []Entry {
	return slices.DeleteFunc(slices.Clone(awards), func(e Entry) bool {
		return isPlaced(placed, &e)
	})
}

// findings says of each wrong award, once, what was found and that it stands.
func (c Contest) findings(wrong []Entry, placed []Placement, st *Standing, why string) []Entry {
	var entries []Entry
	for _, w := range wrong {
		e := c.correction(w, placed, Keep, why)
		if st.kept[e.Correction.finding()] {
			continue
		}
		entries = append(entries, e)
		if found := e.Correction.Found; found != "" && found != w.Award.Claim.Subject {
			entries = append(entries, c.compensation(Compensation{Kind: Keep, Subject: found, Because: w.ID}))
		}
	}
	return entries
}
