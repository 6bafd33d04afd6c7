package ingest

import "photofinish/rules"

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
func (r *recent) forget(lost rules.Span) {
	for _, keys := range []map[key]uint64{r.now, r.old} {
		for k, offset := range keys {
			if lost.First <= offset && offset <= lost.Last {
				delete(keys, k)
			}
		}
	}
}
