package rules

import (
	"cmp"
	"slices"
)

// Score is a subject's score in a window. Reached is when the last event that
// counted made it so.
type Score struct {
	Subject string
	Score   int64
	Reached Claim
}

// Score returns the subject's score from its records, as in Claim. It reports
// false for a score of nothing.
func (r *Rule) Score(subject string, records []Record) (Score, bool) {
	tally := r.Tally(records)
	if tally < 1 {
		return Score{}, false
	}
	reached, ok := r.Claim(subject, records, tally)
	return Score{subject, tally, reached}, ok
}

// Line is one line of a leaderboard.
type Line struct {
	Place   int     `json:"place"`
	Subject string  `json:"subject"`
	Score   int64   `json:"score"`
	Reached Instant `json:"reached"`
	Tied    bool    `json:"tied,omitempty"` // nothing certain separated it from a neighbour; see Place
	Prize   string  `json:"prize,omitempty"`
}

// Rank returns the first lines of the board: with unique ranks, top lines, those
// of equal score by who certainly reached it first, then by likeliest instant and
// subject; with shared ranks, everyone whose rank (1, 2, 2, 4) is at most top. The
// result does not depend on the order of scores, whose subjects are distinct.
func (r *Rule) Rank(scores []Score) []Line {
	sorted := slices.SortedFunc(slices.Values(scores), func(a, b Score) int {
		byScore := cmp.Compare(b.Score, a.Score)
		if r.Order == OrderAsc {
			byScore = -byScore
		}
		return cmp.Or(byScore, cmp.Compare(a.Subject, b.Subject))
	})
	var board []Line
	for start := 0; start < len(sorted) && len(board) < r.Top; {
		end := start + 1
		for end < len(sorted) && sorted[end].Score == sorted[start].Score {
			end++
		}
		claims := make([]Claim, 0, end-start)
		for _, s := range sorted[start:end] {
			claims = append(claims, s.Reached)
		}
		wanted := min(r.Top-len(board), len(claims))
		if r.Ranks == RanksShared {
			wanted = len(claims)
		}
		for _, p := range Place(claims, wanted, TieEarliest, Draw{}) {
			line := Line{Place: len(board) + 1, Subject: p.Claim.Subject, Score: sorted[start].Score, Reached: p.Claim.At, Tied: p.Tied}
			if r.Ranks == RanksShared {
				line.Place, line.Tied = start+1, len(claims) > 1
			}
			line.Prize = r.PrizeOf(line.Place)
			board = append(board, line)
		}
		start = end
	}
	return board
}
