package rules

import (
	"cmp"
	"time"
)

// ContestID names a contest, whatever the ruleset says of its rule today.
type ContestID struct {
	Rule   string
	Scope  Scope
	Window Window
}

// Compare orders by rule, then as Contest.Compare does.
func (n ContestID) Compare(o ContestID) int {
	return cmp.Or(cmp.Compare(n.Rule, o.Rule), n.Window.compare(o.Window), cmp.Compare(n.Scope, o.Scope))
}

// Contest is one rule in one scope and one window: what is decided together.
type Contest struct {
	Rule   *Rule
	Scope  Scope
	Window Window
}

// ID names the contest.
func (c Contest) ID() ContestID { return ContestID{c.Rule.ID, c.Scope, c.Window} }

// Compare orders contests of one rule by window, then scope.
func (c Contest) Compare(o Contest) int {
	return cmp.Or(c.Window.compare(o.Window), cmp.Compare(c.Scope, o.Scope))
}

func (w Window) compare(o Window) int {
	return cmp.Or(cmp.Compare(w.Opens, o.Opens), cmp.Compare(w.Closes, o.Closes))
}

// OpenUntil returns the instant up to which evidence changes the contest: Never
// without a window. It is as late as the contest can still be waiting for somebody,
// even where the rule gives corrections less time than that.
func (c Contest) OpenUntil() Instant {
	if c.Window.Forever() {
		return Never
	}
	return c.Window.Closes.Add(max(c.Rule.Correct, c.Rule.Hold, time.Duration(0)))
}

// Farthest is how far the end of a claim can lie beyond its window's.
const Farthest = 50 * time.Hour

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
	return ok && w == c.Window && c.Scope.Kind() == c.Rule.Scope
}

// entry begins an entry of the contest.
func (c Contest) entry(kind EntryKind) Entry {
	return Entry{Kind: kind, Rule: c.Rule.ID, Scope: c.Scope, Window: c.Window}
}
