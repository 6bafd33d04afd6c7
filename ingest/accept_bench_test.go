package ingest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"photofinish/rules"
)

// BenchmarkAccept is what a node acknowledges to servers that each wait for an answer
// before they send again: writers × events of one request.
func BenchmarkAccept(b *testing.B) {
	for _, c := range []struct{ writers, events int }{{1, 1}, {64, 1}, {64, 125}} {
		b.Run(fmt.Sprintf("%dx%d", c.writers, c.events), func(b *testing.B) {
			n, _ := openNode(b, nil, Config{})
			var next atomic.Int64
			var all sync.WaitGroup
			for w := range c.writers {
				server := fmt.Sprint("s", w)
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						list := make([]rules.Event, c.events)
						for k := range list {
							list[k] = event(fmt.Sprint(i, "-", k), 0)
						}
						if _, err := n.Accept(b.Context(), Batch{Server: server, Region: "eu", Events: list}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
		})
	}
}
