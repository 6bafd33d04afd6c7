// Package keys holds the API keys by which game servers push and others read.
//
// A key is text that is shown once, when it is made:
//
//	pf_<id>_<secret><check>
//
// id is 8 random bytes in hex and names the key in lists and logs. secret is 20 random
// bytes in hex. check is the CRC-32 of everything before it in hex, so that a key which
// was cut short or mistyped is told from one that is wrong, and a scanner for leaked
// secrets can know one for sure. Nothing but the SHA-256 of the whole text is kept: the
// secret has 160 random bits, so a slow hash would protect nothing more.
//
// That a key was created, and that it was revoked, are facts in the table api_keys. Each
// node reads them every few seconds into a Store and keeps them in a file of its own, so
// that events are taken in while ClickHouse is away. A fact that was once read stays
// known: a ClickHouse that comes back old or empty brings no revoked key back to life.
package keys
