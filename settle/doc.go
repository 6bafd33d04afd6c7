// Package settle closes cuts of the merged log and records what they decide.
//
// A settlement does the same five steps whether it is the first to see a cut, a
// second settler racing it, or a run that resumes one that died:
//
//	cut        which events may be read: proposed, and the first proposal wins
//	evidence   what the cut holds about each contest that new events touch
//	decide     rules.Contest.Settle, a pure function of evidence and standing
//	reconcile  part of it: what stands already is not said again, what was wrong
//	           is corrected by a new entry
//	append     all entries of the cut in one insert, the last of which says that
//	           the cut is settled
//
// The ledger is the outbox: an entry with a key is a message to deliver. There is
// no second write to forget.
package settle
