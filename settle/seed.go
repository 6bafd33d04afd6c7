package settle

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"photofinish/rules"
)

// draws reports whether the rule may draw lots.
func draws(r *rules.Rule) bool { return r.Tie == rules.TieDraw || r.Queue == rules.QueueLottery }

// drawSeed returns the seed of a rule's draws in a window. It follows from the
// secret, so that nothing but the secret has to be kept, and says nothing about the
// seed of any other window once it is shown.
func drawSeed(secret, rule string, w rules.Window) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d:%s %d %d", len(rule), rule, w.Opens, w.Closes)
	return mac.Sum(nil)
}

// commitments returns the commitments that the cut must add: for the window that is
// open when it ends, or opens there, and for any that is about to be decided
// without one. Scopes of a rule share a seed; the lots are drawn by scope.
func (s *state) commitments(secret string, cut *rules.Cut) []rules.Entry {
	var entries []rules.Entry
	commit := func(r *rules.Rule, w rules.Window) {
		c := s.contest(rules.Contest{Rule: r, Scope: rules.ScopeWorld, Window: w}, r.ID)
		if c.standing.Commitment() != "" {
			return
		}
		for _, e := range entries {
			if e.Rule == r.ID && e.Window == w {
				return
			}
		}
		digest := sha256.Sum256(drawSeed(secret, r.ID, w))
		entries = append(entries, rules.Entry{
			Kind: rules.KindCommitment, Rule: r.ID, Scope: rules.ScopeWorld, Window: w,
			Commitment: &rules.Commitment{Digest: hex.EncodeToString(digest[:])},
		})
	}
	for i := range s.set.Rules {
		r := &s.set.Rules[i]
		if !draws(r) {
			continue
		}
		if w, ok := r.Window.At(cut.Through); ok {
			commit(r, w)
		}
		for _, c := range s.sorted() {
			if c.Rule == r && c.due {
				commit(r, c.Window)
			}
		}
	}
	return entries
}
