package web

// KeptOf returns which keys a shelf of so many bytes has after bodies of these lengths were
// put, each under its place in the list, and the key 0 was asked for after each.
func KeptOf(most int, lengths ...int) (keys []int) {
	s := newShelf(most)
	for i, n := range lengths {
		s.put(string(rune('0'+i)), &answer{body: make([]byte, n-itemBytes-1)})
		s.get("0")
	}
	for i := range lengths {
		if s.get(string(rune('0'+i))) != nil {
			keys = append(keys, i)
		}
	}
	return keys
}
