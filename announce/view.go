package announce

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

// The limits of what people read on one page. The JSON report has everything but conflicts
// beyond the first: see Report.
const (
	maxRows     = 100 // of a contest, a board or a sale
	maxContests = 100 // of each section of a report
)

// contestView is the awards of one contest, as people read them.
type contestView struct {
	Rule    string
	Scope   string
	Window  rules.Window
	Awards  []Award
	Next    []RunnerUp // who came next and has no award in it
	Omitted int
	Brief   bool     // the report has not all awards of it
	Picture *Picture // nil: it was not close
}

func (v *contestView) contest() rules.ContestID { return contestID(v.Rule, v.Scope, v.Window) }

// contests returns the awards of the report, one contest after the other. Those of
// an achievement, which has no places, are by instant.
func (r *Report) contests() []contestView {
	var views []contestView
	for _, a := range r.Awards {
		if last := len(views) - 1; last < 0 || views[last].contest() != contestID(a.Rule, a.Scope, a.Window) {
			views = append(views, contestView{Rule: a.Rule, Scope: a.Scope, Window: a.Window})
		}
		v := &views[len(views)-1]
		v.Awards = append(v.Awards, a)
	}
	for i := range views {
		v := &views[i]
		slices.SortStableFunc(v.Awards, func(a, b Award) int {
			return a.before(&b)
		})
		left := r.omitted.awards[v.contest()]
		if v.Omitted, v.Brief = left, left > 0; !v.Brief { // else who came next may have an award
			v.Next = next(v.Awards)
		}
		if p, ok := r.picture(v.Awards); ok {
			v.Picture = &p
		}
		if len(v.Awards) > maxRows {
			v.Omitted += len(v.Awards) - maxRows
			v.Awards = v.Awards[:maxRows]
		}
	}
	return views
}

// next returns the runners-up of a contest's awards who have no award themselves,
// by instant.
func next(awards []Award) []RunnerUp {
	seen := map[string]bool{}
	for _, a := range awards {
		seen[a.Subject] = true
	}
	var list []RunnerUp
	for _, a := range awards {
		for _, u := range a.RunnersUp {
			if !seen[u.Subject] {
				seen[u.Subject] = true
				list = append(list, u)
			}
		}
	}
	slices.SortFunc(list, func(a, b RunnerUp) int {
		return cmp.Or(cmp.Compare(a.claim.Point, b.claim.Point), cmp.Compare(a.Subject, b.Subject))
	})
	return list
}

// title names a rule for people: by its title, or else by its ID.
func (r *Report) title(rule string) string {
	if known := r.rules[rule]; known != nil && known.Title != "" {
		return known.Title
	}
	return rule
}

// describe says what a rule decides; "" where its file is not known.
func (r *Report) describe(rule string) string {
	if known := r.rules[rule]; known != nil {
		return rulefile.Describe(known)
	}
	return ""
}

// heading names the report.
func (r *Report) heading() string {
	if r.Cut.From == r.Cut.Number {
		return fmt.Sprintf("Settlement %d", r.Cut.Number)
	}
	return fmt.Sprintf("Settlements %d to %d", r.Cut.From, r.Cut.Number)
}

// covers says what the report is of, in a sentence.
func (r *Report) covers() string {
	until := moment(r.Cut.Through) + " UTC"
	if r.Cut.From == r.Cut.Number {
		return "Decided from everything that happened before " + until + "."
	}
	return fmt.Sprintf("What these %d settlements decided and still stands, from everything that happened before %s.",
		r.Cut.Number-r.Cut.From+1, until)
}

// fact is one line of a summary.
type fact struct {
	Count   int64
	Name    string
	Detail  string
	Section string // of the page, that tells more; empty: none
	Alert   bool   // a person should look
}

// facts sums the report up.
func (r *Report) facts() []fact {
	var held, provisional, final int
	for _, a := range r.Awards {
		switch a.State {
		case rules.Held:
			held++
		case rules.Final:
			final++
		default:
			provisional++
		}
	}
	held, provisional, final = held+r.omitted.states[rules.Held], provisional+r.omitted.states[rules.Provisional], final+r.omitted.states[rules.Final]
	states := counts([]KindCount{{"final", final}, {"provisional", provisional}, {"held", held}})
	sold, unserved := int64(0), 0
	for _, s := range r.Sales {
		sold += s.Sold
		unserved += s.SoldOut + s.Declined
	}
	kinds := r.CompensationsByKind()
	for i := range kinds {
		kinds[i].Kind = words(kinds[i].Kind)
	}
	some := []fact{
		{int64(r.Cut.Events), "event", lateText(r.Cut), "", false},
		{int64(len(r.Awards) + r.awardsOmitted()), "award", states, "awards", false},
		{int64(len(r.Leaderboards)), "leaderboard", "", "leaderboards", false},
		{sold, "sold unit", counts([]KindCount{{"told no", unserved}}), "sales", false},
		{int64(len(r.Corrections)), "correction", "", "corrections", false},
		{int64(len(r.Compensations)), "compensation", counts(kinds), "compensations", false},
		{int64(len(r.Commitments)), "sealed draw", "", "draws", false},
		{int64(r.ConflictsTotal), "conflict", "a person should look", "conflicts", true},
		{int64(len(r.Lacks)) + int64(r.MoreLack), "server", "with missing numbers", "lacks", true},
		{int64(r.Voided), "voided event", "", "", true},
	}
	var facts []fact
	for i, f := range some {
		if f.Count > 0 || f.Detail != "" && !f.Alert || i == 0 {
			f.Name = plural(f.Count, f.Name)
			facts = append(facts, f)
		}
	}
	return facts
}

func lateText(c *Cut) string {
	if c.Late == 0 {
		return ""
	}
	text := Grouped(c.Late) + " late"
	if c.TooLate > 0 {
		text += ", " + Grouped(c.TooLate) + " too late to count"
	}
	return text
}

// conflictsOmitted says how many conflicts a page does not show; "" if it shows all, or none
// since they are not public.
func (r *Report) conflictsOmitted() string {
	if len(r.Conflicts) == 0 {
		return ""
	}
	more := r.ConflictsTotal - uint64(min(len(r.Conflicts), maxRows))
	switch {
	case more == 0:
		return ""
	case r.ConflictsTotal > uint64(len(r.Conflicts)):
		return fmt.Sprintf("… and %s more; the JSON report has the first %s of %s.", Grouped(more), Grouped(len(r.Conflicts)), Grouped(r.ConflictsTotal))
	}
	return fmt.Sprintf("… and %s more, all in the JSON report.", Grouped(more))
}

// counts writes "2 final, 1 held", leaving out what there is none of.
func counts(kinds []KindCount) string {
	var parts []string
	for _, k := range kinds {
		if k.Count > 0 {
			parts = append(parts, Grouped(k.Count)+" "+k.Kind)
		}
	}
	return strings.Join(parts, ", ")
}

// Grouped writes a number with commas between thousands.
func Grouped[N int | int64 | uint64](n N) string {
	return groupedDigits(fmt.Sprint(n))
}

func groupedDigits(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func plural(n int64, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// words turns a word of the rules file into one for people.
func words(kind string) string { return strings.ReplaceAll(kind, "_", " ") }

// scopeText writes a scope for people: "world", "region eu".
func scopeText(scope string) string {
	kind, name, named := strings.Cut(scope, ":")
	if !named {
		return scope
	}
	return kind + " " + name
}

// shortID is enough of an entry's ID to tell it from others by eye.
func shortID(id string) string {
	_, digest, found := strings.Cut(id, ":")
	if !found {
		digest = id
	}
	return digest[:min(len(digest), 10)]
}

// tieText says what a tie came to, where the award is one.
func tieText(a Award) string {
	switch {
	case !a.Tied:
		return ""
	case a.Seed != "":
		return "tied, drawn by lot"
	}
	return "tied"
}

// policyText says what a correction means for those it concerns.
func policyText(policy string) string {
	switch policy {
	case rules.DuplicateAward:
		return "The rightful winner gets it too; nobody loses a thing."
	case rules.Transfer:
		return "It moves to whom it belongs."
	case rules.Keep:
		return "What was decided stays."
	case rules.Withdrawn:
		return "Nothing had been given."
	}
	return ""
}

// compensationText says what was done, without the subject.
func compensationText(c Compensation) string {
	switch {
	case c.Takes && c.Item != "":
		return "gives back"
	case c.Item != "":
		return "gets"
	}
	return "would have won; what was decided stays"
}

// soldText sums a sale up: "3 of 3 sold".
func soldText(s Sale) string {
	text := strconv.FormatInt(s.Sold, 10)
	if s.Stock != nil {
		text += " of " + strconv.FormatInt(*s.Stock, 10)
	}
	text += " sold"
	if s.SoldOut > 0 {
		text += ", " + Grouped(s.SoldOut) + " came too late"
	}
	if s.Declined > 0 {
		text += ", " + Grouped(s.Declined) + " declined"
	}
	return text
}

// priceText writes the price of one unit.
func priceText(s Sale) string {
	if s.Price == nil {
		return "free of charge"
	}
	return money(*s.Price)
}

// money writes an amount. Currencies without two decimals are few and listed.
func money(m rules.Money) string {
	places := 2
	switch m.Currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		places = 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		places = 3
	case "CLF", "UYW":
		places = 4
	}
	digits := fmt.Sprintf("%0*d", places+1, max(m.Amount, -m.Amount))
	if places > 0 {
		digits = digits[:len(digits)-places] + "." + digits[len(digits)-places:]
	}
	if m.Amount < 0 {
		digits = "−" + digits
	}
	return digits + " " + m.Currency
}

// shownNames is how many names a correction lists of a kind.
const shownNames = 5

// changePart is what a correction means for some.
type changePart struct {
	Who  []string
	More int // not listed
	What string
}

// changes says what a correction means for whom. It is empty for a board: the lines of the
// new board show it.
func (c Correction) changes() []changePart {
	var parts []changePart
	if c.Subject == "" {
		return nil
	}
	for _, p := range []changePart{
		{Who: c.Gains, What: "gains it"}, {Who: c.Keeps, What: "keeps it"}, {Who: c.Loses, What: "loses it"}, {Who: c.Denied, What: "should have it and does not"},
	} {
		if len(p.Who) > 0 {
			p.More = max(0, len(p.Who)-shownNames)
			p.Who = p.Who[:len(p.Who)-p.More]
			parts = append(parts, p)
		}
	}
	return parts
}

// lagText says who lags and since when.
func lagText(l Lag) string {
	who := "node " + l.Node
	if l.Region != "" {
		who += " (region " + l.Region + ")"
	}
	if l.Server != "" {
		who = "server " + l.Server + " of " + who
	}
	return who + ", since " + moment(l.Since-l.Since%rules.Instant(time.Second))
}

// waitText says until when a held award waits, and for whom; "" of one that is given.
func waitText(a Award) string {
	if a.State != rules.Held {
		return ""
	}
	text := "until " + moment(a.Until) + " at the latest"
	for i, l := range a.WaitsFor {
		if i == shownNames {
			return text + fmt.Sprintf(" and %d more", len(a.WaitsFor)-i)
		}
		text += map[bool]string{true: ", for ", false: ", "}[i == 0] + "node " + l.Node
		if l.Region != "" {
			text += " (region " + l.Region + ")"
		}
	}
	return text
}
