package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"photofinish/rules"
)

// record is an accepted event as it lies in the spool: everything the merged log
// says of it but node and offset, which follow from the spool.
type record struct {
	rules.Record
	receivedNs int64
	imported   bool // from a file: it says nothing of what its server has reported to this node
}

// recordVersion is the first byte of a payload.
const recordVersion = 2

const (
	flagBackdated = 1 << iota
	flagImported
)

var errRecord = errors.New("a spooled record cannot be read")

// appendTo appends the payload to b:
//
//	version u8, content [16]byte, flags u8 (1 backdated, 2 imported), then varints at, instant, instant −
//	earliest, latest − instant, count, price, received, uvarint seq, then texts (uvarint length, bytes) server, region, id,
//	type, player, guild, target, sku, currency, then uvarint number of attributes
//	and their names and values, ordered by name.
func (r *record) appendTo(b []byte) []byte {
	b = append(b, recordVersion)
	b = append(b, r.Content[:]...)
	var flags byte
	if r.Backdated {
		flags |= flagBackdated
	}
	if r.imported {
		flags |= flagImported
	}
	b = append(b, flags)
	for _, n := range [...]int64{
		int64(r.At), int64(r.Instant), int64(r.Instant - r.Earliest), int64(r.Latest - r.Instant), r.Count, r.Price.Amount, r.receivedNs,
	} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.AppendUvarint(b, r.Seq)
	for _, s := range [...]string{r.Server, r.Region, r.ID, r.Type, r.Player, r.Guild, r.Target, r.SKU, r.Price.Currency} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Attrs)))
	var few [8]string // most events have no more, and nothing is allocated for them
	names := few[:0]
	for name := range r.Attrs { // order free: they are sorted
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = appendText(b, name)
		b = appendText(b, r.Attrs[name])
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// readRecord is the inverse of appendTo. It keeps nothing of b.
func readRecord(b []byte) (record, error) {
	var r record
	if len(b) < 2+len(r.Content) || b[0] != recordVersion {
		return r, fmt.Errorf("%w: %d bytes of an unknown version", errRecord, len(b))
	}
	copy(r.Content[:], b[1:])
	flags := b[1+len(r.Content)]
	if flags&^(flagBackdated|flagImported) != 0 {
		return r, fmt.Errorf("%w: flags %x are of an unknown version", errRecord, flags)
	}
	r.Backdated, r.imported = flags&flagBackdated != 0, flags&flagImported != 0
	in := fields{rest: string(b[2+len(r.Content):])}
	r.At, r.Instant = rules.Instant(in.varint()), rules.Instant(in.varint())
	r.Earliest, r.Latest = r.Instant-rules.Instant(in.varint()), r.Instant+rules.Instant(in.varint())
	r.Count, r.Price.Amount, r.receivedNs = in.varint(), in.varint(), in.varint()
	r.Seq = in.uvarint()
	for _, s := range [...]*string{&r.Server, &r.Region, &r.ID, &r.Type, &r.Player, &r.Guild, &r.Target, &r.SKU, &r.Price.Currency} {
		*s = in.text()
	}
	attrs := in.uvarint()
	if attrs > MaxAttrs {
		return r, fmt.Errorf("%w: %d attributes", errRecord, attrs)
	}
	if attrs > 0 {
		r.Attrs = make(map[string]string, attrs)
		for range attrs {
			name := in.text()
			r.Attrs[name] = in.text()
		}
	}
	if in.bad || in.rest != "" {
		return r, fmt.Errorf("%w: %d bytes", errRecord, len(b))
	}
	return r, nil
}

// fields takes the parts of a payload off its front; after the first that is not
// there, bad is set and everything is zero.
type fields struct {
	rest string
	bad  bool
}

func (f *fields) uvarint() uint64 {
	var n uint64
	for i := 0; i < len(f.rest) && i < binary.MaxVarintLen64; i++ {
		c := f.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			f.rest = f.rest[i+1:]
			return n
		}
	}
	f.rest, f.bad = "", true
	return 0
}

func (f *fields) varint() int64 {
	n := f.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (f *fields) text() string {
	n := f.uvarint()
	if n > uint64(len(f.rest)) {
		f.rest, f.bad = "", true
		return ""
	}
	s := f.rest[:n]
	f.rest = f.rest[n:]
	return s
}

// key is a digest that stands for an identity, or for an identity with a content,
// where millions of them are kept in memory.
type key [16]byte

// identityKey stands for (server, id).
func identityKey(server, id string) key {
	b := make([]byte, 0, 512)
	b = appendText(b, server)
	b = append(b, id...)
	h := sha256.Sum256(b)
	return key(h[:16])
}

// with stands for the identity with that content.
func (k key) with(c rules.Content) key {
	var b [len(k) + len(c)]byte
	copy(b[:], k[:])
	copy(b[len(k):], c[:])
	h := sha256.Sum256(b[:])
	return key(h[:16])
}
