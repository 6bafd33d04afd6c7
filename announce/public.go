package announce

import (
	"slices"
	"strings"
	"unicode"

	"photofinish/rules"
)

// Public returns the report as anybody may see it. Awards and boards are public. Of a sale,
// buyers are shown as its rule says, usually by their initials, and who was told no is not
// shown at all; nor is what would let a reader try names until one fits: the digests of
// entries that hold one, and the identities of their events. The counts stay. What waits for
// a person is not shown, nor what is doubted or has not come, nor which nodes are behind. Of
// conflicts the number alone is shown: a report does not tell whether the events were
// purchases. What belongs to a rule that cannot be read any more is taken for a sale's.
//
// The report is left unmodified.
func Public(r *Report) Report {
	public := *r
	if r.Cut != nil {
		cut := *r.Cut
		cut.Behind = []rules.Tally{}
		public.Cut = &cut
	}
	public.Conflicts = []Conflict{}
	sales := map[string]bool{}
	public.Sales = []Sale{}
	for i := range r.Sales {
		sales[r.Sales[i].Rule] = true
		public.Sales = append(public.Sales, publicSale(r.Sales[i], r.buyers(r.Sales[i].Rule)))
	}
	private := func(rule string) bool {
		known := r.rules[rule]
		return known == nil || known.Kind == rules.Sale || sales[rule]
	}
	public.Corrections = []Correction{}
	for _, c := range r.Corrections {
		if private(c.Rule) {
			c.Corrects, c.Outcome, c.Subject, c.Found = "", "", "", ""
			buyers := r.buyers(c.Rule)
			c.Gains, c.Keeps, c.Loses, c.Denied = buyers.all(c.Gains), buyers.all(c.Keeps), []string{}, []string{}
		}
		public.Corrections = append(public.Corrections, c)
	}
	if slices.ContainsFunc(r.Awards, func(a Award) bool { return a.Trust != "" }) { // they may be many: no copy without need
		public.Awards = slices.Clone(r.Awards)
	}
	for i := range public.Awards {
		if public.Awards[i].Trust == "" {
			continue
		}
		public.Awards[i].Trust = "" // whose server is doubted is between it and the operators
	}
	public.Waiting = []Waiting{}                // whoever it names may never gain or lose a thing
	public.Lacks, public.MoreLack = []Lack{}, 0 // between a server and the operators
	public.Compensations = []Compensation{}
	for _, c := range r.Compensations {
		if private(c.Rule) {
			c.Because, c.Outcome = "", ""
			c.Subject, _ = r.buyers(c.Rule).name(c.Subject)
			if c.Takes { // it may be somebody who is told no by it
				c.Subject = ""
			}
		}
		public.Compensations = append(public.Compensations, c)
	}
	return public
}

// buyers is how a rule wants those who bought to be named.
type buyers string

// buyers returns that of a rule; what cannot be read any more is not told in full.
func (r *Report) buyers(rule string) buyers {
	if known := r.rules[rule]; known != nil {
		return buyers(known.Buyers)
	}
	return rules.BuyersInitials
}

// name returns how a buyer is called; false where nobody is.
func (b buyers) name(player string) (string, bool) {
	switch b {
	case rules.BuyersPublic:
		return player, true
	case rules.BuyersHidden:
		return "", false
	}
	return Initials(player), true
}

func (b buyers) all(players []string) []string {
	named := []string{}
	for _, p := range players {
		if name, ok := b.name(p); ok {
			named = append(named, name)
		}
	}
	return named
}

func publicSale(s Sale, b buyers) Sale {
	all := s.Attempts
	s.Attempts = []PurchaseAttempt{}
	for _, a := range all {
		if a.State == rules.SoldOut || a.State == rules.Declined {
			continue
		}
		if name, ok := b.name(a.Player); ok {
			a.Player, a.Server, a.ID, a.Outcome = name, "", "", ""
			s.Attempts = append(s.Attempts, a)
		}
	}
	return s
}

// Initials returns the first letter or digit of the first two words of a name, each with a
// dot; "?" where there is none.
func Initials(name string) string {
	var initials []string
	for _, word := range strings.Fields(name) {
		for _, c := range word {
			if unicode.IsLetter(c) || unicode.IsDigit(c) {
				initials = append(initials, string(c)+".")
				break
			}
		}
		if len(initials) == 2 {
			break
		}
	}
	if len(initials) == 0 {
		return "?"
	}
	return strings.Join(initials, " ")
}
