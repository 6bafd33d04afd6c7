// Package hour plans the cuts of a settlement: which is due, what it may read, and
// what it knows of each node. It is pure: the same reading of the clock, of the
// nodes' progress and of the log give the same cut, so that two settlers that have
// read the same propose the same.
//
// A run reads the clock and the progress once, asks Next for the first cut that is
// due, records it, settles it, and asks again with the same reading until nothing is
// due:
//
//	resume  a recorded cut is not settled: it is, by its own record and ruleset
//	hour    one for each period end up to the target; a silence of more than 24
//	        periods is closed by one cut
//	late    nothing else is due, and late evidence has come, a draw waits for nothing
//	        but its commitment, or the last cut left something over
//	none    no reason for a cut: a hold that is over, a final_at gone by, a watermark
//	        that moved, copies of what is known
//
// The target of a scheduled run is the last period end that Delay has passed. Its
// clock must not be alone: it counts for no more than Trust after the newest row of
// progress, so that a clock set years ahead closes a day at most.
//
// AsOf of an hour cut is the end of its hour plus Delay, also when it is made up:
// made-up cuts then decide what runs on time would have decided from the same log.
// Offsets and watermarks are the newest published, made up or not: a cut never claims
// to know less than it does.
package hour
