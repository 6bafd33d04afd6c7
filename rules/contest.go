package rules

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
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

// Commitments returns the commitments that a cut must add: for the window of each
// drawing rule that is open at the cut's end, or opens there, and for those that it
// decided without one. committed reports whether the ledger has the one that stands
// with a contest; all scopes of a rule share that of ScopeWorld.
func Commitments(set *Ruleset, secret string, cut *Cut, decided []Entry, committed func(Contest) bool) []Entry {
	var entries []Entry
	for i := range set.Rules {
		r := &set.Rules[i]
		if !r.Draws() {
			continue
		}
		var windows []Window
		if w, ok := r.Window.At(cut.Through); ok {
			windows = append(windows, w)
		}
		for _, e := range decided {
			if e.Rule == r.ID && !slices.Contains(windows, e.Window) {
				windows = append(windows, e.Window)
			}
		}
		for _, w := range windows {
			world := Contest{r, ScopeWorld, w}
			if committed(world) {
				continue
			}
			digest := sha256.Sum256(DrawSeed(secret, r.ID, w))
			e := world.entry(KindCommitment)
			e.Commitment = &Commitment{Digest: hex.EncodeToString(digest[:])}
			entries = append(entries, e)
		}
	}
	return entries
}
