package announce

import (
	"cmp"
	"slices"

	"photofinish/rules"
)

// AwardsOmitted says how many awards of a rule stand that the report does not have.
type AwardsOmitted struct {
	Rule  string `json:"rule"`
	Count int    `json:"count"`
}

// omitted is what a brief report leaves out, for what it says of all.
type omitted struct {
	states   map[rules.AwardState]int
	awards   map[rules.ContestID]int // of contests that it has
	contests int                     // that it has nothing of
}

// Brief returns the report with so many awards of each rule at most: of the first contests,
// and of each the first places, those of an achievement by instant, as a page shows them. It
// says how many more there are. Nothing else is left out.
//
// The report is left unmodified.
func Brief(r *Report, perRule int) Report {
	brief := *r
	brief.Awards, brief.AwardsOmitted = []Award{}, nil
	brief.omitted = omitted{map[rules.AwardState]int{}, map[rules.ContestID]int{}, 0}
	kept, out := map[string]int{}, map[string]int{}
	for rest := r.Awards; len(rest) > 0; {
		contest, rule := rest[0].contest(), rest[0].Rule
		end := slices.IndexFunc(rest, func(a Award) bool { return a.contest() != contest })
		if end < 0 {
			end = len(rest)
		}
		shown := firstOf(rest[:end], perRule-kept[rule])
		for i := range rest[:end] {
			if shown[i] {
				brief.Awards = append(brief.Awards, rest[i])
			} else {
				brief.omitted.states[rest[i].State]++
			}
		}
		n := min(end, perRule-kept[rule])
		kept[rule] += n
		switch {
		case n == 0:
			brief.omitted.contests++
		case n < end:
			brief.omitted.awards[contest] = end - n
		}
		out[rule] += end - n
		if rest = rest[end:]; out[rule] > 0 && (len(rest) == 0 || rest[0].Rule != rule) {
			brief.AwardsOmitted = append(brief.AwardsOmitted, AwardsOmitted{rule, out[rule]})
		}
	}
	return brief
}

// firstOf says which awards of a contest are the first n.
func firstOf(awards []Award, n int) []bool {
	order := make([]int, len(awards))
	for i := range order {
		order[i] = i
	}
	if n < len(awards) {
		slices.SortFunc(order, func(i, j int) int { return cmp.Or(awards[i].before(&awards[j]), cmp.Compare(i, j)) })
	}
	first := make([]bool, len(awards))
	for _, i := range order[:min(n, len(order))] {
		first[i] = true
	}
	return first
}

func (a *Award) contest() rules.ContestID { return contestID(a.Rule, a.Scope, a.Window) }

// before compares awards of a contest as a page has them.
func (a *Award) before(b *Award) int {
	return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.claim.Point, b.claim.Point))
}

// awardsOmitted is how many awards the report leaves out.
func (r *Report) awardsOmitted() int {
	n := 0
	for _, o := range r.AwardsOmitted {
		n += o.Count
	}
	return n
}
