package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// The built-in event types. Any other type name is allowed and rules can match it.
const (
	TypeKill      = "kill"
	TypePurchase  = "purchase"
	TypeHeartbeat = "heartbeat"
)

// Event is an immutable fact that a game server sent. Its identity is (Server, ID).
type Event struct {
	Server string
	Region string
	ID     string // unique per server
	Type   string
	At     Instant // when it happened, by the server's own clock
	Player string
	Guild  string // empty: none
	Target string
	Count  int64 // how many; 1 unless the server said otherwise
	SKU    string
	Price  Money             // zero: not sent
	Attrs  map[string]string // nil: none
	Seq    uint64            // the server's own running number; 0: not sent
}

// Money is an amount in the minor units of an ISO 4217 currency. The zero value
// is nothing at all.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Content is a digest of everything an event says. Two copies of one event have
// equal contents; two contents under one identity are a conflict.
type Content [16]byte

// MarshalText writes the digest in hex.
func (c Content) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, c[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Content) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(c) {
		return fmt.Errorf("content %q is not %d bytes in hex", text, len(c))
	}
	copy(c[:], b)
	return nil
}

// Digest returns the content of the event: the first 16 bytes of a SHA-256 over
// every field with its length, so that no two different events collide by where
// one field ends and the next begins.
func (e *Event) Digest() Content {
	var room [512]byte // most events fit
	b := room[:0]
	for _, s := range [...]string{e.Server, e.Region, e.ID, e.Type, e.Player, e.Guild, e.Target, e.SKU, e.Price.Currency} {
		b = appendSized(b, s)
	}
	for _, n := range [...]uint64{uint64(e.At), uint64(e.Count), uint64(e.Price.Amount), e.Seq, uint64(len(e.Attrs))} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Attrs)) {
		b = appendSized(appendSized(b, name), e.Attrs[name])
	}
	h := sha256.Sum256(b)
	return Content(h[:16])
}

func appendSized(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// Record is an event as it stands in the merged log: one copy of it, which an
// ingest node appended at an offset of its partition.
//
// When it happened is an interval: at some instant from Earliest to Latest, both
// included. The two hold the error of the clocks on both sides and the resolution
// of the stamp, which lies after it: a stamp of whole seconds names [t, t+1 s), so
// Latest is t + 999,999,999 ns; a local time that occurs twice names both.
type Record struct {
	Event
	Node    string
	Offset  uint64  // the first of a node is 1
	Content Content // of the event; see Event.Digest
	Instant Instant // the stamp, corrected by the estimate of the server's clock; windows and cuts read this
	// Earliest ≤ Latest. Instant may lie outside where the server's own order has
	// narrowed the interval.
	Earliest Instant
	Latest   Instant
	// Backdated says that the server had already reported up to a later instant when the
	// event came to its node.
	Backdated bool
}

// Exactly sets the interval to the instant give or take errNs nanoseconds.
func (r *Record) Exactly(errNs int64) {
	r.Earliest, r.Latest = r.Instant-Instant(errNs), r.Instant+Instant(errNs)
}
