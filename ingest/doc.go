// Package ingest takes events in and never loses one.
//
//	check → round → spool (one sync for all who wait) → acknowledge
//	                  └→ Forward: ask what is missing → insert that → ask again → publish progress
//
// A Node owns one partition of the merged log. Everything it accepts gets the next
// offset in its spool before anybody is told "accepted"; Forward copies the spool
// to ClickHouse as often as it takes. An event may therefore stand in the log more
// than once, but none is missing: who reads the log counts an identity
// (server, id) once.
//
// # Rounds
//
// Under one lock a request's identities are looked up, and what is new joins the round
// that waits. One goroutine writes a round after the other, outside the lock. A request is
// answered when the rounds it depends on have landed: its own, those that carry what it
// has copies of, and for a heartbeat the newest. A round that fails leaves nothing behind
// that anybody could take for known, and nothing that its servers said.
//
// # Progress
//
// A row of progress is a node's word: all up to its offset is in the log, or named in it as
// lost or void, and no event that gets a later offset happened before its watermark. What
// an insert was acknowledged for counts for nothing: each of the three tables is asked. A
// count is good for one life of the engine, which the row names; in another one all
// that is still in the spool is counted again before anything is published.
//
// What cannot be read in the spool is sought in the log, and named lost if it is not there
// either: skipped for good, by everybody, also if it turns up. Its event is new when it
// comes again.
//
// Files go the same way as the network: Import checks every line, stages what it
// accepts and commits all of it to the spool at once or, after any error, nothing.
//
// The tables of folder sql are the only way from here to settle and announce.
package ingest
