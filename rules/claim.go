package rules

// Claim says when a subject reached a number: at some instant from Earliest to
// Latest, by point estimate at Point.
type Claim struct {
	Subject  string   `json:"subject"`
	At       Instant  `json:"at"`       // the stamp of the deciding event, as its server gave it
	Point    Instant  `json:"point"`    // the point estimate: the corrected stamps alone say so
	Earliest Instant  `json:"earliest"` // when the number can have been reached at the earliest …
	Latest   Instant  `json:"latest"`   // … and at the latest
	Decided  Identity `json:"decided_by"`
	Region   string   `json:"region,omitempty"` // of the deciding event
	Prize    string   `json:"prize,omitempty"`
}

// UncertaintyNs returns half the distance of the ends, rounded down, nanoseconds.
func (c *Claim) UncertaintyNs() int64 { return int64(c.Latest-c.Earliest) / 2 }
