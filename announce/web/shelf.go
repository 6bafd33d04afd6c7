package web

import "container/list"

// itemBytes is what an answer takes beside its body and its key.
const itemBytes = 512

// shelf holds answers up to a number of bytes; then those that were asked for the longest
// time ago make room. The latest stays even if it is larger than that by itself: it was
// costly to make.
type shelf struct {
	most, bytes int
	latest      *list.List // of *item, the one asked for last in front
	items       map[string]*list.Element
}

type item struct {
	key string
	*answer
}

func (i *item) bytes() int { return len(i.body) + len(i.key) + itemBytes }

// newShelf returns an empty shelf; most is 0 where nothing ever makes room.
func newShelf(most int) shelf {
	return shelf{most: most, latest: list.New(), items: map[string]*list.Element{}}
}

// get returns an answer; nil if it is not there.
func (s *shelf) get(key string) *answer {
	at, ok := s.items[key]
	if !ok {
		return nil
	}
	s.latest.MoveToFront(at)
	return at.Value.(*item).answer //nolint:forcetypeassert // put alone fills it
}

// put keeps an answer.
func (s *shelf) put(key string, a *answer) {
	if _, ok := s.items[key]; ok {
		return
	}
	i := &item{key, a}
	s.items[key], s.bytes = s.latest.PushFront(i), s.bytes+i.bytes()
	for s.most > 0 && s.bytes > s.most && s.latest.Len() > 1 {
		i := s.latest.Remove(s.latest.Back()).(*item) //nolint:forcetypeassert // as above
		delete(s.items, i.key)
		s.bytes -= i.bytes()
	}
}
