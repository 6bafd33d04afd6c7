package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"photofinish/ingest"
)

// discard is a node that takes everything at once.
type discard struct{}

func (discard) Accept(_ context.Context, b ingest.Batch) (ingest.Result, error) {
	return ingest.Result{Accepted: len(b.Events)}, nil
}

// What the handler itself costs, without the node: a body of 125 events, one event, and
// a request whose key is wrong.
func BenchmarkPush(b *testing.B) {
	lines := strings.Repeat(kill+"\n", 125)
	for _, c := range []struct{ name, key, encoding, body string }{
		{"one", "", "", kill},
		{"125", "", "", lines},
		{"125-gzip", "", "gzip", packed(b, "gzip", lines)},
		{"125-zstd", "", "zstd", packed(b, "zstd", lines)},
		{"wrong-key", "pf_wrong", "", lines},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := newAPI(b, Config{Rate: MaxRate})
			a.node.Acceptor = discard{}
			if c.key == "" {
				c.key = a.key
			}
			b.ReportAllocs()
			for b.Loop() {
				r := request(http.MethodPost, pathEvents, strings.NewReader(c.body), "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+c.key)
				if c.encoding != "" {
					r.Header.Set("Content-Encoding", c.encoding)
				}
				w := httptest.NewRecorder()
				a.mux.ServeHTTP(w, r)
				a.node.batches = a.node.batches[:0]
				if w.Code == http.StatusBadRequest {
					b.Fatal(fmt.Sprint(w.Code, w.Body))
				}
			}
		})
	}
}
