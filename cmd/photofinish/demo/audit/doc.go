// Package audit checks the guarantees in a world of which everything is known.
//
// Read takes what stands in the tables, Compare holds it against the world that the
// demo played. The audit does not ask the code that decides: it reads the tables by
// statements of its own, adds up the truth itself, and says what it compared. Two
// checks alone look at what the project says of itself: that all replays, and that
// its report of what stands is what the ledger comes to.
//
// A winner is right if nobody certainly preceded them. Every clock reading is right
// within some e, so an event of the true time t lies, as photofinish sees it, within
// t ± 2e.
//
//	world.go    what truly happened                   tables.go       what was recorded and decided
//	truth.go    who truly finished, bought, scored    standing.go     what the ledger comes to
//	log.go      nothing lost, nothing made up         firsts.go       firsts, achievements, boards
//	sales.go    stock, queue, the raffle              corrections.go  every change, every report
package audit
