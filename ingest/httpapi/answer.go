package httpapi

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"photofinish/ingest"
)

// problem is an error as RFC 9457 has it; its type is about:blank, so the title is that
// of the status.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// WriteProblem answers with application/problem+json. The detail is for a person and may
// hold what was sent, quoted.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	b, err := json.Marshal(problem{http.StatusText(status), status, detail})
	if err != nil { // three plain fields: never
		b = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has gone needs no answer
}

// writeResult writes the verdict one event after the other: a hundred thousand refused
// events must not become one text in memory.
func writeResult(w io.Writer, result *ingest.Result) {
	b := append(make([]byte, 0, 512), `{"accepted":`...)
	b = strconv.AppendInt(b, int64(result.Accepted), 10)
	b = append(b, `,"duplicates":`...)
	b = strconv.AppendInt(b, int64(result.Duplicates), 10)
	if result.Conflicts > 0 {
		b = append(b, `,"conflicts":`...)
		b = strconv.AppendInt(b, int64(result.Conflicts), 10)
	}
	b = append(b, `,"rejected":[`...)
	if len(result.Rejected) == 0 {
		_, _ = w.Write(append(b, "]}\n"...)) // a client that has gone needs no answer
		return
	}
	out := bufio.NewWriter(w)
	for i := range result.Rejected {
		if i > 0 {
			b = append(b, ',')
		}
		rejected := result.Rejected[i]
		if len(rejected.ID) > ingest.MaxIDBytes {
			rejected.ID = rejected.ID[:ingest.MaxIDBytes] // that is why it is refused
		}
		text, err := json.Marshal(rejected) // bytes that are not UTF-8 become U+FFFD
		if err != nil {                     // a number and two texts: never
			text = []byte("{}")
		}
		b = append(b, text...)
		if _, err := out.Write(b); err != nil {
			return // likewise
		}
		b = b[:0]
	}
	b = append(b, "]}\n"...)
	_, _ = out.Write(b)
	_ = out.Flush()
}
