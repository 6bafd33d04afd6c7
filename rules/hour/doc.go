// Package hour plans the cuts of a settlement: which is due, what it may read, and
// what it knows of each node. It is pure: the same reading of the clock, of the
// nodes' progress and of the log give the same cut, so that two settlers that have
// read the same propose the same.
//
// A run reads the clock and the progress once, asks Next for the first cut that is
// due, records it, settles it, and asks again with the same reading until nothing is
// due:
//
//	resume  a cut is recorded and not settled: that one, by its own record and ruleset
//	hour    the end of a period has come that no cut has closed: one for each up to the
//	        target; a silence of more than 24 periods is closed by one cut
//	late    nothing else is due, and late evidence has come, or the last cut left
//	        something over, or a draw waits for nothing but a cut after its commitment
//
// Nothing else is a reason for a cut: not a hold that is over or a final_at gone by, not
// a watermark that moved, not copies of what is known. The next hour's cut sees to them.
//
// The target of a scheduled run is the end of the last period that ended at least Delay
// ago. The clock alone does not decide that: it counts for no more than Trust after the
// newest row of progress, so that a clock set years ahead closes a day at most.
//
// AsOf of an hour cut is the end of its hour plus Delay, also when it is made up:
// made-up cuts then decide what runs on time would have decided from the same log.
// Offsets and watermarks are the newest published, made up or not: a cut never claims
// to know less than it does.
package hour
