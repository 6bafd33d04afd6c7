// Package forward is the sidecar of a game server that is not written in Go: it takes
// events on this machine as a node does, keeps them, and sends them on.
//
//	game ── POST /v1/events, 127.0.0.1 ──▶ httpapi → sender (disk) → 200
//	                                                   └──▶ nodes, as package sender says
//
// It asks for no key: whoever may open a connection on this machine may send, so it listens
// on loopback alone, and refuses what a browser sends for a page of somebody else.
//
// Its heartbeats are those that the game sends, in their place behind the game's events.
// It makes none of its own: only who gives events their instants knows that none from
// before will come.
package forward
