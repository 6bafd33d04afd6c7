package serve

import (
	"encoding/json"
	"net/http"

	"photofinish/announce/web"
)

// Status is how a part of the process is.
type Status string

// The states of a part.
const (
	OK      Status = "ok"
	Waiting Status = "waiting" // for something that comes by itself, or was not configured
	Failing Status = "failing" // and tried again; a person may have to look
)

// Health is what the process says of itself. Parts are added before it is served; its
// handlers are safe for concurrent use.
type Health struct {
	names  []string
	checks []func() (Status, string)
	ready  []func() error
}

// Add adds a part. Check is quick, safe for concurrent use, and says in words what a
// person wants to know.
func (h *Health) Add(name string, check func() (status Status, detail string)) {
	h.names, h.checks = append(h.names, name), append(h.checks, check)
}

// Ready adds a condition for /readyz: nil if the process can do what it is there for. Of one
// that takes events in that is to keep them, whatever the state of ClickHouse.
func (h *Health) Ready(check func() error) { h.ready = append(h.ready, check) }

type partHealth struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// Mount adds /healthz and /readyz. Details are for operators: an error may name addresses
// and folders. /healthz answers 200 as long as the process can answer: a process must not be
// killed because a store that it waits for is down.
func (h *Health) Mount(mux *http.ServeMux, details bool) {
	mux.HandleFunc("/healthz", readOnly(func(w http.ResponseWriter, _ *http.Request) {
		all := struct {
			Status Status       `json:"status"` // the worst of the parts
			Parts  []partHealth `json:"parts"`
		}{OK, []partHealth{}}
		for i, check := range h.checks {
			p := partHealth{Name: h.names[i]}
			p.Status, p.Detail = check()
			if !details {
				p.Detail = ""
			}
			if p.Status == Failing || all.Status == OK {
				all.Status = p.Status
			}
			all.Parts = append(all.Parts, p)
		}
		writeJSON(w, http.StatusOK, all)
	}))
	mux.HandleFunc("/readyz", readOnly(func(w http.ResponseWriter, _ *http.Request) {
		answer := struct {
			Ready  bool   `json:"ready"`
			Detail string `json:"detail,omitempty"`
		}{Ready: true}
		for _, check := range h.ready {
			if err := check(); err != nil {
				answer.Ready = false
				if details {
					answer.Detail = err.Error()
				}
				break
			}
		}
		status := http.StatusOK
		if !answer.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, answer)
	}))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // texts and a number: it cannot be
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}

// readOnly refuses methods that change something.
func readOnly(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			web.Problem(w, http.StatusMethodNotAllowed, "this path is only read")
			return
		}
		handler(w, r)
	}
}
