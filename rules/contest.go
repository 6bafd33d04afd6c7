package rules

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
)

// ContestOf returns the contest that the record counts in. It reports false where
// the record does not count for the rule, or outside its windows.
func (r *Rule) ContestOf(rec *Record) (Contest, bool) {
	if !r.Match(&rec.Event) {
		return Contest{}, false
	}
	w, ok := r.Window.At(rec.Instant)
	return Contest{Rule: r, Scope: r.ScopeOf(&rec.Event), Window: w}, ok
}

// formed reports whether the rule divides time and place so that there is such a
// contest. A rule that was changed to other windows or scopes leaves contests in
// the ledger that it no longer has evidence for: what was decided there stands.
func (c Contest) formed() bool {
	w, ok := c.Rule.Window.At(c.Window.Opens)
	kind, _, _ := strings.Cut(c.Scope, ":")
	return ok && w == c.Window && kind == c.Rule.Scope
}

// Draws reports whether the rule may draw lots.
func (r *Rule) Draws() bool { return r.Tie == TieDraw || r.Queue == QueueLottery }

// DrawSeed returns the seed of a rule's draws in a window. It follows from the
// secret, so that nothing but the secret has to be kept, and once shown it says
// nothing about the seed of any other window. Scopes of a rule share it: the lots
// are drawn by scope.
func DrawSeed(secret, rule string, w Window) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d:%s %d %d", len(rule), rule, w.Opens, w.Closes)
	return mac.Sum(nil)
}
