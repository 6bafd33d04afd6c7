package sender

import "testing"

// What Accept costs where many goroutines share its syncs. Each of them has its own event.
func BenchmarkAccept(b *testing.B) {
	c := newWorld(b, "one").config(b.TempDir())
	c.SegmentBytes, c.Quota = DefaultSegmentBytes, 8<<30
	s, _ := open(b, c)
	b.SetParallelism(32) // per processor
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := s.Accept(b.Context(), kill("")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
