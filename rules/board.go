package rules

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
