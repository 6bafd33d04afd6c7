package sender

import "crypto/sha256"

// maxRecent is how many of the last events are known again, at least.
const maxRecent = 100_000

// key is an event, all that it says. A seq that the sender gives is no part of it.
type key [16]byte

func keyOf(payload []byte) key {
	sum := sha256.Sum256(payload)
	return key(sum[:16])
}

// recent remembers the last maxRecent keys, and up to as many more.
type recent struct{ young, old map[key]struct{} }

func (r *recent) has(k key) bool {
	if _, young := r.young[k]; young {
		return true
	}
	_, old := r.old[k]
	return old
}

func (r *recent) add(k key) {
	if r.young == nil || len(r.young) >= maxRecent {
		r.old, r.young = r.young, map[key]struct{}{}
	}
	r.young[k] = struct{}{}
}
