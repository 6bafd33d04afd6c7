package rules

import (
	"cmp"
	"slices"
)

// Score is a subject's score in a window, and when the last event that counted made
// it so.
type Score struct {
	Score Amount
	Run   Run
}

// Score returns the subject's score from its records, as in Run. It reports false
// for a score of nothing.
func (r *Rule) Score(subject string, records []Record) (Score, bool) {
	score := r.Tally(records)
	if score.IsZero() {
		return Score{}, false
	}
	run, ok := r.Run(subject, records, score)
	return Score{score, run}, ok
}

// Line is one line of a leaderboard. Reached is the stamp of the event that made
// the score what it is, as its server gave it; Earliest and Latest bound when.
type Line struct {
	Place    int     `json:"place"`
	Subject  string  `json:"subject"`
	Score    Amount  `json:"score"`
	Reached  Instant `json:"reached"`
	Earliest Instant `json:"earliest"`
	Latest   Instant `json:"latest"`
	Tied     bool    `json:"tied,omitempty"` // nothing certain separated it from a neighbour; see Place
	Prize    string  `json:"prize,omitempty"`
}

// Rank returns the first lines of the board: with unique ranks, top lines, those of
// equal score by who certainly reached it first, then by point estimate and subject;
// with shared ranks, everyone whose rank (1, 2, 2, 4) is at most top. The result does
// not depend on the order of scores, whose subjects are distinct, and only scores as
// good as the last line's matter.
func (r *Rule) Rank(scores []Score) []Line {
	sorted := slices.Clone(scores)
	slices.SortFunc(sorted, func(a, b Score) int {
		byScore := b.Score.Compare(a.Score)
		if r.Order == OrderAsc {
			byScore = -byScore
		}
		return cmp.Or(byScore, compareClaims(&a.Run.Claim, &b.Run.Claim))
	})
	var board []Line
	for start := 0; start < len(sorted) && len(board) < r.Top; {
		end := start + 1
		for end < len(sorted) && sorted[end].Score == sorted[start].Score {
			end++
		}
		board = append(board, r.equals(sorted[start:end], len(board))...)
		start = end
	}
	return board
}

// equals returns the lines of subjects of one score, who come after so many others.
func (r *Rule) equals(scores []Score, before int) []Line {
	line := func(run *Run, place int, tied bool) Line {
		return Line{
			Place: place, Subject: run.Subject, Score: scores[0].Score, Reached: run.At, Earliest: run.Earliest, Latest: run.Latest,
			Tied: tied, Prize: r.PrizeOf(place),
		}
	}
	var lines []Line
	if r.Ranks == RanksShared || len(scores) == 1 {
		for i := range scores {
			lines = append(lines, line(&scores[i].Run, before+1, len(scores) > 1))
		}
		return lines
	}
	runs := make([]*Run, len(scores))
	for i := range scores {
		runs[i] = &scores[i].Run
	}
	for i, p := range Place(runs, scores[0].Score, min(r.Top-before, len(runs)), TieEarliest, Draw{}) {
		lines = append(lines, line(p.Run, before+i+1, p.Tied))
	}
	return lines
}
