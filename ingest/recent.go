package ingest

import "maps"

// recent remembers the offsets of at least the last keep keys and at most twice as many.
type recent struct {
	keep     int
	now, old map[key]uint64
}

func newRecent(keep int) *recent { return &recent{keep: keep, now: map[key]uint64{}} }

// offset returns where the key's event lies.
func (r *recent) offset(k key) (offset uint64, known bool) {
	if offset, known = r.now[k]; known {
		return offset, true
	}
	offset, known = r.old[k]
	return offset, known
}

func (r *recent) add(k key, offset uint64) {
	if len(r.now) >= r.keep {
		r.old, r.now = r.now, make(map[key]uint64, r.keep)
	}
	r.now[k] = offset
}

// forget drops the keys of events whose places are lost: they are new if they come again.
func (r *recent) forget(lost spans) {
	gone := func(_ key, offset uint64) bool { return lost.has(offset) }
	maps.DeleteFunc(r.now, gone)
	maps.DeleteFunc(r.old, gone)
}
