package spool

// found is what the start sees of the folder's end.
type found struct {
	files bool     // there is a segment
	last  header   // of the newest one
	short bool     // that file has not the size its header says
	first uint64   // S: all below was on disk
	tail  [][]byte // T: the payloads from S on that are intact, without a gap
	junk  int64    // bytes that are neither zeros nor of a frame up to the end of T
	newer uint64   // the highest running number that anything but a file here names
	bound uint64   // the bound of the segment with that number
}

// plan is what the start decided.
type plan struct {
	rule  string
	first uint64   // all before is on disk; where a new segment begins, if one must be written
	tail  [][]byte // what stands in it
	next  uint64   // the next offset that is given out
	skip  byte     // kindVoid or kindGap: what the offsets from the tail's end to next are
	write bool     // a new segment must be written before anything from first on is read

	synced bool // the folder was, since the start
}

// decide is the decision table of a start, rules R1 and R5 to R8 and R13; load has
// the others. S and T are those of the newest segment.
func decide(f *found) plan {
	end := f.first + uint64(len(f.tail))
	switch {
	case !f.files && f.newer == 0:
		return plan{rule: "R1: nothing is here", first: 1, next: 1}
	case f.newer > f.last.number:
		// T is not used: the missing file may have given its offsets to others.
		return plan{rule: "R5: the newest segment is missing", first: f.first, next: max(f.bound, f.first), skip: kindGap, write: true}
	case f.short:
		return plan{rule: "R6: the newest segment is cut short", first: f.first, tail: f.tail, next: max(f.last.bound, end), skip: kindGap, write: true}
	case f.junk == 0:
		return plan{rule: "R7: the newest segment ends in zeros", first: f.first, tail: f.tail, next: end, write: len(f.tail) > 0}
	default:
		return plan{rule: "R8: the newest segment is torn", first: f.first, tail: f.tail, next: max(f.last.bound, end), skip: kindVoid, write: true}
	}
}
