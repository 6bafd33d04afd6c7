package spool

import (
	"slices"
	"testing"
)

// A frame's header fits one segment and one place in it, and no changed bit of it fits.
func TestFrameFitsItsPlaceAlone(t *testing.T) {
	f := frame{kind: kindEvent, number: 7, synced: 5, payload: []byte("payload")}
	b := appendFrame(nil, 99, bodyAt, f)
	expect(t, "bytes", len(b), padded(len(f.payload)))
	got, length, payloadSum, ok := decodeFrameHeader(b, 99, bodyAt)
	if !ok || got.number != 7 || got.synced != 5 || got.kind != kindEvent || length != 7 || payloadSum != sum(f.payload) || got.end != bodyAt+int64(len(b)) {
		t.Fatalf("read back %+v, %d, %v", got, length, ok)
	}
	if _, _, _, ok := decodeFrameHeader(b, 99, bodyAt+alignment); ok {
		t.Error("it fits another place")
	}
	if _, _, _, ok := decodeFrameHeader(b, 98, bodyAt); ok {
		t.Error("it fits another segment")
	}
	for i := range frameBytes {
		for bit := range 8 {
			wrong := slices.Clone(b)
			wrong[i] ^= 1 << bit
			if _, _, _, ok := decodeFrameHeader(wrong, 99, bodyAt); ok {
				t.Errorf("it fits with bit %d of byte %d changed", bit, i)
			}
		}
	}
}

// A header is read back as it was written, and none of its bits can change.
func TestHeaderSum(t *testing.T) {
	h := header{salt: 1 << 60, number: 3, first: 17, bound: 99, size: 1 << 20, flags: flagStaged}
	b := h.encode()
	expect(t, "bytes", len(b), headerBytes)
	if got, ok := decodeHeader(b); !ok || got != h {
		t.Fatalf("read back %+v, %v", got, ok)
	}
	for i := range b {
		for bit := range 8 {
			wrong := slices.Clone(b)
			wrong[i] ^= 1 << bit
			if _, ok := decodeHeader(wrong); ok {
				t.Errorf("bit %d of byte %d changed unseen", bit, i)
			}
		}
	}
	for _, impossible := range []header{{number: 0, first: 1, bound: 2, size: bodyAt}, {number: 1, first: 0, bound: 2, size: bodyAt}, {number: 1, first: 3, bound: 2, size: bodyAt}, {number: 1, first: 1, bound: 2, size: 5}} {
		if _, ok := decodeHeader(impossible.encode()); ok {
			t.Errorf("%+v is possible", impossible)
		}
	}
	if n, ok := segmentNumber(segmentName(17)); !ok || n != 17 {
		t.Error(n, ok)
	}
	for _, name := range []string{"17.seg", "00000000000000000000.seg", "0000000000000000001x.seg", stateName, segmentName(1) + ".mended"} {
		if n, ok := segmentNumber(name); ok {
			t.Errorf("%s is segment %d", name, n)
		}
	}
}
