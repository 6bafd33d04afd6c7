// Package ingest takes events in and never loses one.
//
//	check → spool (synced to disk) → acknowledge
//	          └→ Forward: insert → count what arrived → publish progress, in order, retried
//
// A Node owns one partition of the merged log. Everything it accepts gets the next
// offset in its spool before anybody is told "accepted"; Forward copies the spool
// to ClickHouse as often as it takes. An event may therefore stand in the log more
// than once, but none is missing: who reads the log counts an identity
// (server, id) once.
//
// Files go the same way as the network: Import checks every line, stages what it
// accepts and commits all of it to the spool at once or, after any error, nothing.
//
// The tables event_log and progress (folder sql) are the only way from here to
// settle and announce.
package ingest
