// Package spool keeps what an ingest node acknowledged until it is surely in the
// merged log: a folder of append-only files that survives kill -9, power cuts, failed
// syncs and full disks, and in which damage costs what was damaged and nothing else.
//
// Every payload has an offset: the first is 1, the next is one more, for ever, also
// when the segments that held the older ones are gone. An offset is given out once.
// Some are skipped: void are those that a torn tail may have held and nobody was
// answered for; lost are those that were acknowledged perhaps, can be read neither
// here nor in the log, and were named.
//
// What is relied on: a sync that returned without error is on the disk; a sector is
// written whole or not at all; after an error of a sync nothing is known of any page.
// Any number of kills, power cuts and such errors is put right, and one fault of the
// medium (a bit, a sector, a file) beside them.
//
// # On disk
//
//	DIR                            the folder itself is locked; no lock file could be deleted
//	DIR/00000000000000000017.seg   a segment by its running number, which is never used again
//	DIR/state.json                 the newest segment and its bound, what was removed, what is
//	                               lost and void; a hint, written best effort, with a sum
//	DIR/damaged/                   segments of which something could not be read; a person
//	                               removes them, or has Mend take them in again
//	DIR/*.tmp                      not in place yet; removed by the next start
//
// A segment is zeros to its full size and synced before it gets its name, so that a
// round changes no size and allocates nothing. Numbers are little endian, sums CRC-32C:
//
//	header  ┌──────────────┬──────┬─────────┬───────┬───────┬──────┬───────┬─────┐
//	        │ "PFSPOOL\x02"│ salt │ segment │ first │ bound │ size │ flags │ sum │  56 bytes, at 0
//	        │ 8            │ u64  │ u64     │ u64   │ u64   │ u64  │ u32   │ u32 │  and again at 4096
//	        └──────────────┴──────┴─────────┴───────┴───────┴──────┴───────┴─────┘
//	frame   ┌────────┬──────────┬────────┬────────┬─────────────┬────────────┬─────────┬───────┐
//	        │ length │ kind, 0  │ number │ synced │ payload sum │ header sum │ payload │ zeros │  from 8192 on,
//	        │ u32    │ u8, u24  │ u32    │ u32    │ u32         │ u32        │         │ to 8  │  8-aligned
//	        └────────┴──────────┴────────┴────────┴─────────────┴────────────┴─────────┴───────┘
//
// salt is random; first is the segment's first offset, bound one that no offset out of
// it ever reaches: the next offset at its creation and 2^22. A frame's number is its
// offset less first; synced is the number up to which all was on disk before the frame
// was written. The header sum also covers the salt and the frame's place in the file:
// neither blocks of an older file nor a payload that is itself a frame fit it.
//
// A frame of kind 0 is an event. The others have no payload. Kind 1, a mark: all
// before its number is on disk. Kind 2 and 3 stand where offsets were skipped, those
// from number up to synced: 2 says that they are void, 3 that a file that is gone may
// have given them out. Flag 1 of a header: an import, all of which was on disk before
// the segment got its name; its bound is its end.
//
// # Writing
//
// Append writes one round: one write, one sync of the data, and only then are its
// events visible, to the caller and to Read. Any error of either ends the segment
// for writing: a second sync would answer for pages that are on no disk. The next
// segment begins at the end of the last round that landed; frames from there on in
// the older file count for nothing.
//
// A segment is a temporary file of zeros, then header, frames that are copied, a mark,
// a sync, its name, a sync of the folder, state.json; and only then a round. Those of
// full size are made in the background while the present one fills. Where one is
// needed at once it is a small one, so that a command that appends three events does
// not write 64 MiB. 50 ms after the last round, before a new segment and at Close a mark
// is written: it is what tells a bit that flipped in the last round from a torn round.
//
// An import collects a segment of its own and gives it first, bound and name at
// its commit, which is a round by itself.
//
// # Starting
//
// S is the largest of the newest segment's first offset and the synced of its intact
// frames: all below was on disk. T is the intact events S, S+1, … without a gap. After
// anything that is no frame the search goes on at each place where one can begin.
// Older segments are not read beyond their headers.
//
//	R1   nothing is there                 the next offset is 1
//	R2   *.tmp                            removed
//	R3   state.json is not whole          the newest file is the newest segment; Learn brings the rest
//	R4   one copy of a header damaged     the other is used
//	     both                             the file goes to damaged/; its range is a gap, as in R10
//	R5   state.json names a newer file    T is not used, the missing file may have given its offsets
//	                                      to others; next is that file's bound, [S, bound) unreadable
//	R6   the newest file is cut short     T is kept; next is its bound, [end of T, bound) unreadable
//	R7   after T only zeros               T is kept; next is its end
//	R8   after T anything else            T is kept; next is the bound; [end of T, bound) is void
//	R9   no intact frame below S          unreadable; Read finds it
//	R10  a running number is missing      unreadable from S of the segment before to the one after
//	R11  reaches into a later segment     ends where that begins
//	R12  the oldest begins after what     unreadable between
//	     was removed
//	R13  T, or R5, R6, R8                 T is written into a new segment that begins at S before
//	                                      anything from S on is read: after a failed sync pages read
//	                                      as written and are on no disk
//
// Before all that the folder is synced: a kill may have left a segment whose name no
// sync covered, and an answer from it would not outlive a power cut. Where the disk lets
// the start write nothing, the spool opens all the same, shows what is before S, and tries again.
//
// Nothing of this is an error of Open. What is unreadable becomes lost only when the
// log was asked and does not have it either: that is the caller's part, with
// Unreadable and Name.
//
// # Between any two writes
//
//	stopped after                        leaves                     put right by
//	part of a round, or before its sync  any of its sectors         R7 or R8: whole frames are kept, sent again they are duplicates
//	its sync, before the answer          all of it                  R7 and R13, as before
//	a failed sync, the process lives     pages that may be nowhere  the next segment, which begins before them
//	a failed sync, then a kill           the same pages             R13
//	any step of a temporary file         *.tmp                      R2
//	the name, before the folder's sync   the old folder or the new  the start syncs it before it believes it
//	the folder's sync, before state.json a state that names an      nobody: it is a lower bound
//	                                     older segment
//	state.json, before a removal         a segment more             the next Prune
//	a removal, before the folder's sync  a segment more, or again   the next Prune; below what was removed nothing is missing
//
// # Removing
//
// Prune removes the oldest segments once retention has passed since Counted was told
// that the log holds all of them, not since they were written: what was forwarded a
// minute ago may be lost by the engine in the next. Recount forgets the counts when
// the engine was started again. One with anything unreadable goes to damaged/. Neither
// reading, naming nor removing needs room on the disk.
package spool
