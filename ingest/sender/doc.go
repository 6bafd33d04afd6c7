// Package sender is what a game server keeps between its own loop and an ingest node:
// an event that Accept took is on this machine's disk and is sent until a node has it.
//
//	Accept: id, at → round → one sync for all who wait → nil
//	Run:    read the spool → batch → POST /v1/events → 200 → mark sent, prune
//
// # What is kept
//
//	DIR/spool/          the spool (package spool); a payload is the event as one JSON object
//	DIR/sent            up to which offset a node has taken everything; best effort
//	DIR/refused.ndjson  what a node refused, with its words, for a person
//
// An event's seq is its offset in the spool, unless the caller numbers events itself. So
// it can be neither given twice nor skipped by a failed write, and it goes on above the
// bound that the spool keeps after damage. It is not part of the payload, it is put in
// front when a line is sent: the payload of an event that is accepted again is the same
// bytes, and that is how it is known.
//
// # Time
//
// An event without an instant of its own gets one under the lock that gives it its place,
// so instants and places have one order. A heartbeat says the clock as it was under that
// lock at a moment when everything that had a place before it is in the same request or
// was taken before: it never overtakes. It is never kept, as an old promise is of no use.
//
// Its attributes tell what a node cannot know: full, how many events were refused for want
// of space since this opening; void, spans of seq that were given to no event.
//
// # Sending
//
// One request is in the air. What is not acknowledged is sent again, the same bytes, before
// anything new. Every answer has one of four fates:
//
//	taken    200 whose counts add up: mark sent; what it rejects alone is set aside
//	refused  400, 413, 415: halved until one event is left, which is set aside if the node
//	         itself said so (application/problem+json, not a proxy on the way)
//	wrong    401, 403, redirects and what no node says: alarm, once a minute, nothing set aside
//	again    408, 429, 5xx, no answer, an unreadable one: after a random growing pause
//
// A node that has taken nothing for a third of the silence that nodes allow is left for the
// next one; after ten minutes in which the first says that it is ready, and with nothing
// unacknowledged, the sender goes back.
//
// A crash between a 200 and its mark: the events are sent again and are duplicates. Between
// the file of refused events and the mark: refused again, and twice in the file.
package sender
