package ingest

import (
	"maps"

	"photofinish/rules"
)

// places says where events lie, by identity. The first content that comes of an identity
// stands under its key, any other under the key of both: of most events there is one.
type places map[key]place

type place struct {
	content rules.Content
	at      uint64 // an offset, or the number in a round
}

// find returns where the event lies if it is there with that content, and whether it is
// there with any.
func (p places) find(k key, content rules.Content) (at uint64, same, any bool) {
	found, any := p[k]
	if any && found.content != content {
		found, same = p[k.with(content)]
		return found.at, same, true
	}
	return found.at, any, any
}

func (p places) add(k key, content rules.Content, at uint64) {
	if first, any := p[k]; any && first.content != content {
		k = k.with(content)
	}
	p[k] = place{content, at}
}

// recent remembers the offsets of at least the last keep events and at most twice as many.
type recent struct {
	keep     int
	now, old places
}

func newRecent(keep int) *recent { return &recent{keep: keep, now: places{}} }

// find is as of places. What stands under the key and under that of both may have come to
// be in different ones.
func (r *recent) find(k key, content rules.Content) (offset uint64, same, any bool) {
	for _, p := range [...]places{r.now, r.old} {
		found, there := p[k]
		if there && found.content == content {
			return found.at, true, true
		}
		any = any || there
	}
	if !any {
		return 0, false, false
	}
	k = k.with(content)
	for _, p := range [...]places{r.now, r.old} {
		if found, there := p[k]; there {
			return found.at, true, true
		}
	}
	return 0, false, true
}

func (r *recent) add(k key, content rules.Content, offset uint64) {
	if len(r.now) >= r.keep {
		r.old, r.now = r.now, make(places, r.keep)
	}
	r.now.add(k, content, offset)
}

// forget drops the events whose places are lost: they are new if they come again. So is
// what came as another content of the same identity, which is at worst kept twice.
func (r *recent) forget(lost spans) {
	gone := func(_ key, p place) bool { return lost.has(p.at) }
	maps.DeleteFunc(r.now, gone)
	maps.DeleteFunc(r.old, gone)
}
