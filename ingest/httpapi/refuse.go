package httpapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// refusal is why a request is refused whole.
type refusal struct {
	status int
	reason string // for Refused
	detail string
	after  time.Duration // of Retry-After; 0: none
	allow  [2]string     // a header that says what would do, and its value
	close  bool          // do not read what is left of the body
}

func (r *refusal) Error() string { return r.detail }

// Headers of the exchange of clocks, in Unix nanoseconds.
const (
	headerClock    = "Photofinish-Clock"
	headerReceived = "Photofinish-Received"
	headerSent     = "Photofinish-Sent"
)

// refuse answers with a problem. An error that is no refusal is the node's.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var why *refusal
	if !errors.As(err, &why) {
		why = &refusal{
			status: http.StatusServiceUnavailable, reason: RefusedStore, after: storeRetry,
			detail: "the events could not be stored; send them again with the same ids",
		}
		if h.limits.mayLog(h.cfg.Now()) {
			h.log.ErrorContext(r.Context(), "events not stored", "err", err)
		}
	}
	h.cfg.Refused(why.reason)
	if why.after > 0 {
		seconds := (why.after + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	if why.allow[0] != "" {
		w.Header().Set(why.allow[0], why.allow[1])
	}
	if why.close {
		w.Header().Set("Connection", "close")
	}
	h.stamp(w)
	WriteProblem(w, why.status, why.detail)
}

func (h *Handler) stamp(w http.ResponseWriter) {
	w.Header().Set(headerSent, strconv.FormatInt(h.cfg.Now().UnixNano(), 10))
}
