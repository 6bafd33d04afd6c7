// Package demo plays a small world against the real ingest nodes and settlers, with
// everything going wrong that can, and then checks the guarantees.
//
// A World is three regions with an ingest node and three game servers each. All
// events are made first, from a seed, with the true time at which each happened:
// that is the truth, and nothing but the audit reads it. Then the world's clock
// goes on in steps of five minutes. Servers send what they have by their own wrong
// clocks; lines break, acknowledgements get lost, nodes and settlers crash. Every
// hour is settled and its report loaded from the ledger.
//
// Servers push as they do in earnest: over HTTP, with a key, events as packed lines, and
// their clocks compared in headers. Before each node stands a proxy that loses answers to
// what the node took, cuts requests, and passes some on after their copies:
//
//	server → POST /v1/events → badnet → httpapi → node (spool, fsync) → event_log
//	       ← 200, or nothing: the same bytes again
//
//	story.go    what happens, whatever the seed     crowd.go    what the seed adds
//	server.go   game servers and their clocks       node.go     ingest nodes
//	push.go     requests until they are answered    wire.go     events as lines
//	network.go  listeners, the network before them  faults.go   what goes wrong, counted
//	world.go    the hours                           text.go     what is printed
//	settle.go   settlements, crashed and racing
//
// Package audit holds what was decided against the truth.
//
// The same seed gives the same world, the same faults at the same bytes, the same ledger
// and the same words: one request is on its way at a time, a step is one moment of the
// world's clock for servers and nodes, and nothing is decided by how long anything takes.
package demo
