// Package spool keeps what an ingest node acknowledged until it is surely in the
// merged log: a folder of append-only files that survives kill -9 and says
// aloud when a disk has changed a byte.
//
// Every payload has an offset: the first is 1, the next is one more, for ever,
// also when the segments that held the older ones are gone. Append returns only
// after the bytes and the folder entry are synced to disk.
//
//	DIR/lock                        held by the one process that may use DIR
//	DIR/00000000000000000001.seg    a segment, named for its first offset
//	DIR/00000000000000004711.seg    the next one; the last is the one being appended to
//	DIR/stage-*.tmp                 not committed; removed by the next Open
//
// A segment is a header and frames. Numbers are little endian, sums are CRC-32C:
//
//	header  ┌──────────────┬───────────┬────────────────┬─────┐
//	        │ "PFSPOOL\x01"│ zero u32  │ first offset   │ sum │  24 bytes
//	        │ 8            │ 4         │ u64            │ u32 │  sum of the 20 before it
//	        └──────────────┴───────────┴────────────────┴─────┘
//	frame   ┌────────┬─────────────┬────────────┬─────────────┐
//	        │ length │ payload sum │ header sum │ payload     │  12 bytes + length
//	        │ u32    │ u32         │ u32        │             │
//	        └────────┴─────────────┴────────────┴─────────────┘
//
// The header sum covers length, payload sum and the frame's number within the
// segment (u64, from 0), so a damaged length cannot pass for the end of the file
// and frames cannot change places. That is what tells a torn tail from damage:
//
//   - the file ends inside a frame whose header is whole and right, or inside a
//     header, or only zeros follow: an append that never returned. It was not
//     acknowledged to anybody; Open cuts it off.
//   - anything else that does not add up is a CorruptionErr. Nothing is cut, since
//     what follows may have been acknowledged.
package spool
