// Package httpapi is the HTTP face by which a node takes events in.
//
//	key? → role? → rate? → media type, encoding, length? → body, bounded → decode all → Accept → answer
//
// Every refusal stands as far to the left as it can: an unknown key costs one hash and no
// byte of its body. A body is read and decoded to its end before anything of it is kept,
// so that one that is too large, cut off or no list of events changes nothing. From there
// on each event is judged alone. The answer 200 is written after Accept has returned, so
// what it calls accepted is on disk; any error of Accept is a 503, after which the same
// request can be sent again.
//
// What a request may cost is bounded: bytes packed and unpacked, events, requests a second
// of one key, its bodies and their bytes at once, all bodies and bytes at once, and how many
// of one key turn out too large only when they are unpacked. What waits for a slow sender
// holds no more than it has sent so far; the deadline for it is the http.Server's
// ReadTimeout, which whoever mounts the handler sets, as well as its ReadHeaderTimeout and
// IdleTimeout.
//
// A sender may tell the times of its previous exchange, from which the difference of the
// clocks is estimated (see clocks), and its events' running numbers, of which missing ones
// are shown (see gaps). Both are memory only: after a restart they are learned anew.
package httpapi
