package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// settleBoard closes a board when its window is over and nobody is waited for, at
// most Hold after its end, and corrects it when later evidence changes a line.
func (c Contest) settleBoard(ev Evidence, st *Standing, m Moment) Decision {
	if c.Window.Forever() || c.Window.Closes > m.Cut.Through {
		return Decision{Waits: !c.Window.Forever()}
	}
	lines := c.Rule.Rank(ev.Scores)
	e := c.entry(KindBoard)
	e.Board = &Board{Lines: lines, FinalAt: c.Window.Closes.Add(c.Rule.Correct), Trust: c.Rule.trustOf()}
	if st.board == nil {
		regions := boardRegions(lines, ev.Scores)
		closed := m.Cut.Unseen(c.Scope, regions) >= c.Window.Closes
		if len(lines) == 0 || !closed && !m.over(c.Window.Closes.Add(c.Rule.Hold)) {
			return Decision{Waits: true}
		}
		if !closed {
			e.Board.Lacking = m.Cut.WaitsFor(c.Scope, regions, c.Window.Closes-1)
		}
		return Decision{Entries: append([]Entry{e}, c.prizes(lines, st, "")...)}
	}
	old := st.board.Board
	if slices.Equal(lines, old.Lines) {
		return Decision{}
	}
	final := m.final(old.FinalAt) // as it was announced, whatever the rule says since
	if sameLines(lines, old.Lines) {
		if final {
			return Decision{}
		}
		e.Board.Refines, e.Board.FinalAt = st.board.ID, old.FinalAt
		return Decision{Entries: []Entry{e}}
	}
	correction := c.entry(KindCorrection)
	correction.Correction = boardCorrection(st.board, lines, c.Rule.OnCorrection)
	if final || c.Rule.OnCorrection == Keep {
		correction.Correction.keepBoard(final)
		correction.Correction.Denied = better(lines, old.Lines)
		if st.kept[correction.Correction.finding()] {
			return Decision{}
		}
		return Decision{Entries: []Entry{correction}}
	}
	e.Board.Corrects = st.board.ID
	entries := []Entry{correction}
	if c.Rule.OnCorrection == Transfer {
		for _, line := range old.Lines {
			if line.Prize != "" && st.held[holding{line.Subject, line.Prize}] && !wins(lines, line.Subject, line.Prize) {
				entries = append(entries, c.take(st, line.Subject, line.Prize, st.board.ID))
			}
		}
	}
	entries = append(entries, e)
	return Decision{Entries: append(entries, c.prizes(lines, st, st.board.ID)...)}
}

// boardRegions returns those that the deciding events of the lines name, sorted.
func boardRegions(lines []Line, scores []Score) []string {
	ranked := map[string]bool{}
	for _, l := range lines {
		ranked[l.Subject] = true
	}
	var regions []string
	for i := range scores {
		if ranked[scores[i].Run.Subject] {
			regions = append(regions, scores[i].Run.Region)
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// boardCorrection says who is on the board now and was not, who stays in their place,
// and who loses theirs. A subject that moves both gains a place and loses one.
func boardCorrection(old *Entry, lines []Line, policy string) *Correction {
	c := &Correction{Corrects: old.ID, Policy: policy, Reason: "earlier evidence came to light", Found: boardDigest(lines)}
	was, is := placesOf(old.Board.Lines), placesOf(lines)
	for _, l := range lines {
		if was[placeOf{l.Place, l.Subject}] {
			c.Keeps = append(c.Keeps, l.Subject)
		} else {
			c.Gains = append(c.Gains, l.Subject)
		}
	}
	for _, l := range old.Board.Lines {
		if !is[placeOf{l.Place, l.Subject}] {
			c.Loses = append(c.Loses, l.Subject)
		}
	}
	return c
}

// better returns those whose place in lines is better than in old, or who are not in
// old at all.
func better(lines, old []Line) []string {
	was := map[string]int{}
	for _, l := range old {
		was[l.Subject] = l.Place
	}
	var subjects []string
	for _, l := range lines {
		if at := was[l.Subject]; at == 0 || at > l.Place {
			subjects = append(subjects, l.Subject)
		}
	}
	return subjects
}

func placesOf(lines []Line) map[placeOf]bool {
	places := map[placeOf]bool{}
	for _, l := range lines {
		places[placeOf{l.Place, l.Subject}] = true
	}
	return places
}

// keepBoard turns a correction into the finding that nothing changes.
func (c *Correction) keepBoard(final bool) {
	c.Policy, c.Reason = Keep, "the rule keeps what was awarded"
	if final {
		c.Reason = "the board was final"
	}
	c.Keeps = append(c.Keeps, without(c.Loses, c.Keeps)...)
	c.Gains, c.Loses = nil, nil
}

// prizes gives the lines' items to those who do not hold them yet. because is the
// entry that a correction puts right, "" where there is none.
func (c Contest) prizes(lines []Line, st *Standing, because string) []Entry {
	var entries []Entry
	for _, line := range lines {
		if line.Prize == "" || st.held[holding{line.Subject, line.Prize}] {
			continue
		}
		e := c.entry(KindPrize)
		e.Prize = &Grant{line.Place, line.Subject, line.Prize}
		e.Key = c.giveKey(st, line.Subject, line.Prize)
		entries = append(entries, e)
		if because != "" {
			entries = append(entries, c.compensation(Compensation{
				Kind: c.Rule.OnCorrection, Subject: line.Subject, Because: because, Item: line.Prize,
			}))
		}
	}
	return entries
}

func wins(lines []Line, subject, item string) bool {
	return slices.ContainsFunc(lines, func(l Line) bool { return l.Subject == subject && l.Prize == item })
}

// sameLines reports whether two boards name the same subjects with the same scores
// and prizes in the same places. When a score was reached may come to be known
// otherwise without that being a correction.
func sameLines(a, b []Line) bool {
	return slices.EqualFunc(a, b, func(x, y Line) bool {
		return x.Place == y.Place && x.Subject == y.Subject && x.Score == y.Score && x.Prize == y.Prize
	})
}

// boardDigest names what was found for a board.
func boardDigest(lines []Line) string {
	h := sha256.New()
	for _, l := range lines {
		hashText(h, l.Subject)
		hashNumber(h, uint64(l.Place))
		hashText(h, l.Score.String())
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
