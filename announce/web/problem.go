package web

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Problem answers with application/problem+json (RFC 9457). Its type is about:blank, so the
// title is that of the status; the detail is for a person.
func Problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail})
	if err != nil { // two texts and a number: it cannot be
		body = []byte("{}")
	}
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Content-Security-Policy", nothing)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}

// acceptsJSON reports whether a client names JSON and no page. Weights are not read: who
// names both is a browser, or does not mind.
func acceptsJSON(accept []string) bool {
	text := strings.Join(accept, ",")
	return strings.Contains(text, "application/json") && !strings.Contains(text, "text/html")
}
