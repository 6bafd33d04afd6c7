package ingest

// recent remembers at least the last keep keys and at most twice as many.
type recent struct {
	keep     int
	now, old map[key]struct{}
}

func newRecent(keep int) *recent { return &recent{keep: keep, now: map[key]struct{}{}} }

func (r *recent) has(k key) bool {
	if _, ok := r.now[k]; ok {
		return true
	}
	_, ok := r.old[k]
	return ok
}

func (r *recent) add(k key) {
	if len(r.now) >= r.keep {
		r.old, r.now = r.now, make(map[key]struct{}, r.keep)
	}
	r.now[k] = struct{}{}
}
