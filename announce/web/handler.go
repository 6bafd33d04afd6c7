package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/announce"
)

// Source is where reports come from. Its errors are announce.ErrNothingSettled, a
// *announce.NotSettledError, or those of a store that cannot be reached. It is safe for
// concurrent use.
type Source interface {
	// LastSettled returns the number of the last settled cut; 0 if there is none.
	LastSettled(ctx context.Context) (uint64, error)
	// Load returns the reports of a selection.
	Load(ctx context.Context, sel announce.Selection) ([]announce.Report, error)
}

// Tables returns the tables that settle owns as a source.
func Tables(conn driver.Conn) Source { return tables{conn} }

type tables struct{ conn driver.Conn }

// LastSettled reads one number.
func (t tables) LastSettled(ctx context.Context) (uint64, error) {
	return announce.LastSettled(ctx, t.conn)
}

// Load reads what announce.Load says.
func (t tables) Load(ctx context.Context, sel announce.Selection) ([]announce.Report, error) {
	return announce.Load(ctx, t.conn, sel)
}

// Access reports whether the bearer of a key may read everything, not the public form alone.
// It fails with ErrUnknownKey, with a *TooManyError where too many such come from the
// request's address, or where nobody can say at the moment. It is safe for concurrent use.
type Access func(r *http.Request, key string) (whole bool, err error)

// ErrUnknownKey says that there is no such key, or that it is revoked.
var ErrUnknownKey = errors.New("the key is not known or was revoked; without one, the public form is given")

// TooManyError says that an address sends too many requests with unknown keys.
type TooManyError struct{ After time.Duration } // to stay away for so long

// Error says what is too many.
func (e *TooManyError) Error() string {
	return "too many requests with unknown keys come from this address; without one, the public form is given"
}

// Handler answers requests. Its methods may be called by several goroutines at once.
type Handler struct {
	log    *slog.Logger
	cache  *cache
	access Access
}

// New returns a handler that reads from a source, and the time from now. Who has a key gets
// what access says; everybody else the public form. It does nothing else; Mount makes it
// reachable.
func New(source Source, access Access, log *slog.Logger, now func() time.Time) *Handler {
	return &Handler{log: log, cache: newCache(source, log, now), access: access}
}

// answer is a whole answer but for its headers' names.
type answer struct {
	body   []byte
	kind   string // Content-Type
	policy string // Content-Security-Policy
	tag    string // ETag
}

func newAnswer(body []byte, kind, policy string) *answer {
	sum := sha256.Sum256(body)
	return &answer{body, kind, policy, `"` + hex.EncodeToString(sum[:16]) + `"`}
}

// nothing loads nothing, runs nothing and is framed by nobody.
const nothing = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func jsonAnswer(v any) (*answer, error) {
	var b bytes.Buffer
	if err := announce.WriteValueJSON(&b, v); err != nil {
		return nil, err
	}
	return newAnswer(b.Bytes(), "application/json", nothing), nil
}

// planner reads a request, and nothing else. It fails with a *refusal where the request is at
// fault.
type planner func(r *request) (plan, error)

// plan is how a request is answered.
type plan struct {
	kind kind
	key  string // what is asked for, the same however it was spelled
	// make makes the answer as of the cut last, which is 0 where nothing is settled. It fails
	// with a *refusal too: of what only that cut can tell.
	make func(ctx context.Context, last uint64) (*answer, error)
}

// kind is what an answer is of.
type kind int

const (
	ofStanding kind = iota // everything that stands
	ofReport               // one settlement
	ofList                 // a part of a list
)

// request is what an answer depends on.
type request struct {
	path  func(name string) string
	query url.Values
	page  bool // the client wants a page, not JSON
	whole bool // the client may read everything
}

// shownTo returns the report as a client may see it.
func shownTo(whole bool, report *announce.Report) *announce.Report {
	if whole {
		return report
	}
	public := announce.Public(report)
	return &public
}

// form and look name, in a key, what a client may read and what it wants.
func form(whole bool) string { return map[bool]string{true: "whole", false: "public"}[whole] }

func look(page bool) string { return map[bool]string{true: " page", false: " JSON"}[page] }

// refusal is why a request has no answer.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string { return r.detail }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

//go:embed openapi.json
var openAPI []byte

// Document returns the OpenAPI document of the paths of this package. The caller does not
// change it.
func Document() []byte { return openAPI }

// Mount makes the paths of this package reachable.
func (h *Handler) Mount(mux *http.ServeMux) {
	h.handle(mux, "/{$}", h.standing)
	h.handle(mux, "/reports/{cut}", h.report)
	h.handle(mux, "/v1/reports", h.reports, "page_size", "page_token")
	h.handle(mux, "/v1/reports/{cut}", h.report)
	h.handle(mux, "/v1/awards", h.awards, "rule", "subject", "state", "page_size", "page_token")
	h.handle(mux, "/v1/leaderboards/{rule}", h.boards, "window", "around", "top", "page_size", "page_token")
}

// answerLimit bounds the making of one answer.
const answerLimit = 30 * time.Second

// handle serves a path whose answer depends on the path, on these parameters, each given at
// most once, and on what the client accepts.
func (h *Handler) handle(mux *http.ServeMux, path string, read planner, parameters ...string) {
	mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			Problem(w, http.StatusMethodNotAllowed, "this path is only read")
			return
		}
		query, err := url.ParseQuery(req.URL.RawQuery)
		if err == nil {
			err = known(query, parameters)
		}
		if err != nil {
			Problem(w, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), answerLimit)
		defer cancel()
		r := &request{path: req.PathValue, query: query, page: path[:2] != "/v" && !acceptsJSON(req.Header.Values("Accept"))}
		if key, given := bearer(req.Header); given {
			if r.whole, err = h.access(req.WithContext(ctx), key); err != nil {
				h.write(w, req, r, nil, err)
				return
			}
		}
		p, err := read(r)
		if err != nil {
			h.write(w, req, r, nil, err)
			return
		}
		a, err := h.cache.get(ctx, p)
		h.write(w, req, r, a, err)
	})
}

// bearer returns the key of a request. What a proxy in front asks for by another scheme is
// none.
func bearer(header http.Header) (key string, given bool) {
	for _, value := range header.Values("Authorization") {
		if scheme, text, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(text), true
		}
	}
	return "", false
}

func known(query url.Values, parameters []string) error {
	for name, values := range query {
		found := false
		for _, p := range parameters {
			found = found || p == name
		}
		switch {
		case !found:
			return fmt.Errorf("the parameter %.40q is not known here", name)
		case len(values) > 1:
			return fmt.Errorf("the parameter %s is given %d times", name, len(values))
		}
	}
	return nil
}

func (h *Handler) write(w http.ResponseWriter, req *http.Request, r *request, a *answer, err error) {
	var refused *refusal
	var notSettled *announce.NotSettledError
	var tooMany *TooManyError
	switch {
	case errors.As(err, &refused):
		Problem(w, refused.status, refused.detail)
		return
	case errors.As(err, &notSettled), errors.Is(err, announce.ErrNothingSettled):
		Problem(w, http.StatusNotFound, err.Error())
		return
	case errors.Is(err, ErrUnknownKey):
		w.Header().Set("WWW-Authenticate", `Bearer realm="photofinish"`)
		Problem(w, http.StatusUnauthorized, err.Error())
		return
	case errors.As(err, &tooMany):
		w.Header().Set("Retry-After", strconv.FormatInt(int64((tooMany.After+time.Second-1)/time.Second), 10))
		Problem(w, http.StatusTooManyRequests, err.Error())
		return
	case err != nil:
		if req.Context().Err() == nil {
			h.log.WarnContext(req.Context(), "what was decided cannot be read", "err", err)
		}
		w.Header().Set("Retry-After", "5")
		Problem(w, http.StatusServiceUnavailable, "what was decided cannot be read at the moment")
		return
	}
	header := w.Header()
	header.Set("Content-Type", a.kind)
	header.Set("Content-Security-Policy", a.policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("ETag", a.tag)
	header.Set("Cache-Control", "no-cache") // keep it, and ask whether it is still so
	if r.whole {
		header.Set("Cache-Control", "private, no-cache")
	}
	header.Set("Vary", "Accept, Authorization")
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(a.body))
}

// NotFound answers what no path is there for.
func NotFound(w http.ResponseWriter, _ *http.Request) {
	Problem(w, http.StatusNotFound, "there is nothing here; /openapi.json and / say what there is")
}
