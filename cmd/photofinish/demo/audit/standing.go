package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"photofinish/rules"
)

// contest names what is decided together.
type contest struct {
	rule, scope string
	window      rules.Window
}

// standing is what the ledger comes to, read from its first entry to its last.
type standing struct {
	awards   map[contest][]rules.Entry
	boards   map[contest]rules.Entry
	attempts map[contest]map[rules.Identity]rules.Entry
	ended    map[string]bool        // entries that a correction ended
	byID     map[string]rules.Entry // all
	sold     map[contest]int64      // the most units that were reserved at the end of any cut
}

// fold reads the ledger as anybody could who knows only what the kinds of entry
// mean: a correction ends what it names, unless it keeps it, and a later entry of
// the same place and subject, board or attempt replaces an earlier one.
func (a *auditor) fold() *standing {
	s := &standing{
		awards: map[contest][]rules.Entry{}, boards: map[contest]rules.Entry{},
		attempts: map[contest]map[rules.Identity]rules.Entry{},
		ended:    map[string]bool{}, byID: map[string]rules.Entry{}, sold: map[contest]int64{},
	}
	for _, e := range a.Entries {
		k := contest{e.Rule, string(e.Scope), e.Window}
		s.byID[e.ID] = e
		switch e.Kind {
		case rules.KindAward:
			s.end(k, func(o *rules.Entry) bool {
				return o.Award.Place == e.Award.Place && o.Award.Claim.Subject == e.Award.Claim.Subject
			})
			s.awards[k] = append(s.awards[k], e)
		case rules.KindBoard:
			s.boards[k] = e
		case rules.KindAllocation:
			if s.attempts[k] == nil {
				s.attempts[k] = map[rules.Identity]rules.Entry{}
			}
			s.attempts[k][e.Allocation.Attempt] = e
		case rules.KindCorrection:
			if e.Correction.Policy != rules.Keep {
				s.ended[e.Correction.Corrects] = true
				s.end(k, func(o *rules.Entry) bool { return o.ID == e.Correction.Corrects })
			}
		case rules.KindSettled:
			for _, k := range sortedContests(s.attempts) {
				s.sold[k] = max(s.sold[k], reserved(s.attempts[k]))
			}
		}
	}
	return s
}

// end takes awards away from those that stand.
func (s *standing) end(k contest, gone func(*rules.Entry) bool) {
	var left []rules.Entry
	for _, e := range s.awards[k] {
		if !gone(&e) {
			left = append(left, e)
		}
	}
	s.awards[k] = left
}

// reserved adds up the units that attempts hold.
func reserved(attempts map[rules.Identity]rules.Entry) int64 {
	units := int64(0)
	for _, e := range attempts { // a sum: in any order
		if e.Allocation.State == rules.Reserved {
			units += e.Allocation.Units
		}
	}
	return units
}

// digestOf returns the ID that an entry must have.
func digestOf(e rules.Entry) string {
	e.ID = ""
	body, err := json.Marshal(&e)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}
