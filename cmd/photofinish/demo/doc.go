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
//	story.go    what happens, whatever the seed     crowd.go    what the seed adds
//	server.go   game servers and their clocks       node.go     ingest nodes
//	world.go    the hours                           faults.go   what goes wrong, counted
//	settle.go   settlements, crashed and racing     text.go     what is printed
//
// Package audit holds what was decided against the truth.
//
// The same seed gives the same world, the same ledger and the same words.
package demo
