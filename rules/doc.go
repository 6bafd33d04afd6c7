// Package rules holds the nouns of photofinish and every decision over them.
//
// A decision is a pure function: the same records, ruleset and standing give the
// same entries, byte for byte, whatever the order in which anything arrived.
// Nothing here reads a clock, a file, a network or a random source, and nothing
// blocks; two goroutines may call any function at once as long as neither
// changes the arguments.
//
// The way from events to decisions:
//
//	Record     an event as it stands in the merged log: who sent it, where it
//	           lies (node, offset), and when it happened, give or take
//	Unique     one record for each event identity, of the copies and conflicts
//	Claim      the interval in which a subject reached a threshold
//	Contest    one rule in one scope and one window: what is decided together
//	Evidence   what a contest is decided from: claims, scores or attempts
//	Standing   what earlier cuts decided about the contest
//	Entry      what a cut adds to the ledger: an award, a board, an allocation, …
//
// Contest.Settle is the one function that decides; the first run of a cut, its
// resumption after a crash and its replay years later all call it. Simulate is the
// whole settlement around it, in memory and with nothing left out to save work: what
// package settle must come to.
package rules
