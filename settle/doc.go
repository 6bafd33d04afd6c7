// Package settle closes cuts of the merged log and records what they decide.
//
// A settlement does the same five steps whether it is the first to see a cut, a
// second settler racing it, or a run that resumes one that died:
//
//	cut        which events may be read: planned by package rules/hour, proposed,
//	           and the first proposal wins
//	evidence   what the cut holds about each contest that new events touch: package
//	           evidence, which reads the slice and not the history
//	decide     rules.Contest.Settle, a pure function of evidence and standing
//	reconcile  part of it: what stands already is not said again, what was wrong
//	           is corrected by a new entry
//	append     all entries of the cut in one insert, the last of which says that
//	           the cut is settled: package ledger
//
// The ledger is the outbox: an entry with a key is a message to deliver. There is
// no second write to forget.
//
// What a settler must know of the past stands in the ledger and in the tallies that
// package evidence carries forward. In memory it keeps the standing of the contests
// that may still change, achievements aside: some hundred bytes for each award,
// line of a board and purchase attempt that stands in them.
package settle
