// Package scenario runs stories that a game designer can read and write: a file with
// some rules, some events and the cuts at which they are settled, and what the ledger
// must then say. Run settles one in memory by the same functions as everything else
// and returns the ledger in words; Help explains the format.
//
// A cut is made up as a settlement on time would record it: all nodes fresh, their
// promises beyond it. What lags, what is stale, excused or retired, and as of when the
// cut decides, the file says where it matters.
package scenario
