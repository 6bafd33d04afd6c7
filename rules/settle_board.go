package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// settleBoard closes a board when its window is over and its evidence is in, and
// corrects it when later evidence changes a line.
func (c Contest) settleBoard(ev Evidence, st *Standing, h Horizon) []Entry {
	if c.Window.Forever() || c.Window.Closes > h.Complete {
		return nil
	}
	lines := c.Rule.Rank(ev.Scores)
	e := c.entry(KindBoard)
	e.Board = &Board{Lines: lines, FinalAt: c.OpenUntil()}
	if st.board == nil {
		if len(lines) == 0 {
			return nil
		}
		return append([]Entry{e}, c.prizes(lines, st, "")...)
	}
	if sameLines(lines, st.board.Board.Lines) {
		return nil
	}
	correction := c.entry(KindCorrection)
	correction.Correction = &Correction{
		Corrects: st.board.ID, Policy: c.Rule.OnCorrection, Reason: "earlier evidence came to light", Found: boardDigest(lines),
	}
	final := st.board.Board.FinalAt <= h.Told // as it was announced, whatever the rule says since
	if final || c.Rule.OnCorrection == Keep {
		correction.Correction.Policy, correction.Correction.Reason = Keep, "the rule keeps what was awarded"
		if final {
			correction.Correction.Reason = "the board was final"
		}
		if st.kept[correction.Correction.finding()] {
			return nil
		}
		return []Entry{correction}
	}
	e.Board.Corrects = st.board.ID
	entries := []Entry{correction}
	if c.Rule.OnCorrection == Transfer {
		for _, old := range st.board.Board.Lines {
			if old.Prize != "" && st.held[holding{old.Subject, old.Prize}] && !wins(lines, old.Subject, old.Prize) {
				entries = append(entries, c.take(st, old.Subject, old.Prize, st.board.ID))
			}
		}
	}
	entries = append(entries, e)
	return append(entries, c.prizes(lines, st, st.board.ID)...)
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
// in the same places. The instant a score was reached may come to be known better
// without that being a correction.
func sameLines(a, b []Line) bool {
	return slices.EqualFunc(a, b, func(x, y Line) bool {
		return x.Place == y.Place && x.Subject == y.Subject && x.Score == y.Score
	})
}

// boardDigest names what was found for a board that is kept.
func boardDigest(lines []Line) string {
	h := sha256.New()
	for _, l := range lines {
		hashText(h, l.Subject)
		hashNumber(h, uint64(l.Place))
		hashNumber(h, uint64(l.Score))
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
