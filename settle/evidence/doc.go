// Package evidence reads the merged log for a settlement, and is the only place in
// package settle that does. History weighs nothing: what is new in a cut is read in
// order of arrival, what a settlement must know of the past stands in tallies that it
// carries forward, and exact evidence is read of the few subjects that can matter.
//
//	Take       takes in what is new in a cut: counts of identities, conflicts, and what
//	           it adds to the tally of each (rule, scope, window, subject)
//	Runs       the claims that can matter in a world_first or achievement
//	Scores     the scores that can matter on a board
//	Attempts   the purchase attempts of a sale
//	Beyond     what lies within the cut's offsets and after its end
//	Fresh      the new records of contests that nothing changes any more
//	Subject    everything about one subject, for people who ask
//
// A tally says "at cut c the sum was at most so much". That is true whoever wrote it,
// how often, and in which order, so repeats, races and merges need no protocol: the
// version of a row is the cut, a lost race writes the same row, and a row of a later
// cut is only a higher bound. Copies, late events and voids make tallies too high,
// never too low; exact evidence removes what is too much.
//
//	crash                                   leaves                    repaired by
//	after touches or tallies, before the    rows of the cut and no    the next run takes the same cut:
//	ledger                                  entries                   what is there is not added again
//	in the middle of an insert              some subjects at the cut, the same: each row is true alone
//	                                        some at the one before
//	two settlers at one cut, or one still   equal rows, or older ones nobody: what the slow one reads is
//	there when the other went on            that the engine drops     only too high
//	a power cut that takes the last rows    tallies too low: the one  Resume, which a start calls before
//	                                        unsound state             it decides
//	a forwarder repeats an insert           copies: too high          nobody
//	a backfill dies                         rows, and a rule's key in the next run does it again
//	                                        no settled entry
//
// What a cut took in of a server's running numbers is no bound: it is written once more for
// each cut by itself where a power cut may have taken it, and is exact.
//
// Every statement is right on each shard of players by itself; identities, conflicts
// and the sums of guilds are added up afterwards.
package evidence
