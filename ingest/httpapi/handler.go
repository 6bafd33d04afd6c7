package httpapi

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"photofinish/ingest"
	"photofinish/ingest/keys"
)

// Acceptor takes a batch in. When Accept has returned without an error, what its Result
// calls accepted is on disk; after an error the batch can be sent again. Several
// goroutines call it at once. *ingest.Node is one.
type Acceptor interface {
	Accept(ctx context.Context, b ingest.Batch) (ingest.Result, error)
}

// Keys looks keys up. Find takes as long for an unknown key as for a known one; it fails
// with keys.ErrUnknown, or with keys.ErrNotLoaded while nobody can say. Several goroutines
// call it at once. *keys.Store is one.
type Keys interface {
	Find(ctx context.Context, text string) (keys.Key, error)
}

// Defaults of Config.
const (
	DefaultMaxBody   = 8 << 20
	DefaultRate      = 2000
	DefaultKeyBodies = 128
	DefaultBodies    = 1024
	DefaultInFlight  = 128 << 20
)

// Config bounds what requests may cost. Now must be set; every other zero is the default
// named beside it.
type Config struct {
	Now func() time.Time // the node's clock

	// MaxBody is how many bytes a body may have, packed and unpacked: DefaultMaxBody.
	MaxBody int64
	// Rate is how many requests a second one key may make; it may have saved up those of
	// two seconds: DefaultRate.
	Rate float64
	// KeyBodies is how many bodies of one key may be on their way at once, and Bodies how
	// many of all: DefaultKeyBodies, DefaultBodies.
	KeyBodies, Bodies int
	// InFlight is how many bytes of bodies may be held at once; those of one key take at
	// most a quarter of it, or one body. While its events are checked a body takes about ten times
	// its size of memory: DefaultInFlight.
	InFlight int64

	// WrongKeys counts wrong keys by address, together with others in the process who take
	// keys; nil: one of its own.
	WrongKeys *WrongKeys

	// Document is what /openapi.json gives, of a process that has more paths than those of
	// this package: Document().
	Document []byte

	// Count, where set, is told what became of events: ResultAccepted and so on.
	Count func(result string, n int)
	// Refused, where set, is told of each request that is refused whole, and of each clock
	// exchange that is ignored: RefusedKey and so on.
	Refused func(reason string)
}

// What Count is told. A heartbeat of a source log, which nobody sent as one, is not counted.
const (
	ResultAccepted  = "accepted"
	ResultDuplicate = "duplicate"
	ResultRejected  = "rejected"
)

// What Refused is told.
const (
	RefusedKey    = "key"    // 401, or 429 to one who sends wrong keys all the time
	RefusedRole   = "role"   // 403: a key that may only read, or all events are of another source
	RefusedRate   = "rate"   // 429: too often, or too much at once of one key
	RefusedSize   = "size"   // 413
	RefusedType   = "type"   // 415: media type or encoding
	RefusedForm   = "form"   // 400
	RefusedBusy   = "busy"   // 503: too much at once of all
	RefusedStore  = "store"  // 503: it could not be stored, or no key can be checked yet
	RefusedMethod = "method" // 405
	RefusedPath   = "path"   // 404
	IgnoredClock  = "clock"  // none: the request goes on
)

func (c Config) complete() (Config, error) {
	c.MaxBody = cmp.Or(c.MaxBody, DefaultMaxBody)
	if c.Document == nil {
		c.Document = openAPI
	}
	c.Rate = cmp.Or(c.Rate, DefaultRate)
	c.KeyBodies = cmp.Or(c.KeyBodies, DefaultKeyBodies)
	c.Bodies = cmp.Or(c.Bodies, DefaultBodies)
	c.InFlight = cmp.Or(c.InFlight, max(DefaultInFlight, 4*c.MaxBody))
	switch {
	case c.Now == nil:
		return c, errors.New("there is no clock")
	case c.MaxBody < 1 || c.MaxBody > LargestBody:
		return c, fmt.Errorf("a body of at most %d bytes is not from 1 to %d", c.MaxBody, LargestBody)
	case !(c.Rate >= MinRate && c.Rate <= MaxRate): // nor not a number
		return c, fmt.Errorf("%v requests a second are not from %v to %d", c.Rate, MinRate, MaxRate)
	case c.KeyBodies < 1 || c.Bodies < 1:
		return c, fmt.Errorf("%d bodies of one key and %d of all are not at least 1", c.KeyBodies, c.Bodies)
	case c.InFlight < 2*c.MaxBody: // one, packed and unpacked
		return c, fmt.Errorf("%d bytes at once are less than two bodies of %d", c.InFlight, c.MaxBody)
	}
	if c.WrongKeys == nil {
		c.WrongKeys = NewWrongKeys()
	}
	if c.Count == nil {
		c.Count = func(string, int) {}
	}
	if c.Refused == nil {
		c.Refused = func(string) {}
	}
	return c, nil
}

// Handler takes events in over HTTP. Its methods may be called by several goroutines at
// once.
type Handler struct {
	node   Acceptor
	keys   Keys
	log    *slog.Logger
	cfg    Config
	limits *limits
	unpack *unpacker
	clocks clocks
	gaps   gaps
}

// New returns a handler that gives what it decodes to the node. It does nothing else;
// Mount makes it reachable.
func New(node Acceptor, known Keys, log *slog.Logger, cfg Config) (*Handler, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return &Handler{
		node: node, keys: known, log: log, cfg: cfg,
		limits: newLimits(&cfg), unpack: newUnpacker(), clocks: newClocks(), gaps: newGaps(),
	}, nil
}

// Paths of the API.
const (
	pathEvents    = "/v1/events"
	pathSourceLog = "/v1/source-log"
	pathSourceKey = "/v1/source-log/{key}"
	pathOpenAPI   = "/openapi.json"
)

//go:embed openapi.json
var openAPI []byte

// Document returns the OpenAPI document of the paths of this package. The caller does not
// change it.
func Document() []byte { return openAPI }

// Mount makes the paths of this package reachable. Another method than a path has is
// answered 405 here, so the mux must not have patterns of a method and "/" alone, such
// as "GET /": use "/" or "GET /{$}".
func (h *Handler) Mount(mux *http.ServeMux) {
	for _, route := range []struct {
		method, path string
		serve        http.HandlerFunc
	}{
		{http.MethodPost, pathEvents, h.events},
		{http.MethodPost, pathSourceLog, h.sourceLog},
		{http.MethodPost, pathSourceKey, h.sourceLog},
		{http.MethodGet, pathOpenAPI, h.openAPI},
	} {
		mux.HandleFunc(route.method+" "+route.path, route.serve)
		allow := route.method
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		mux.HandleFunc(route.path, func(w http.ResponseWriter, _ *http.Request) {
			h.cfg.Refused(RefusedMethod)
			w.Header().Set("Allow", allow)
			WriteProblem(w, http.StatusMethodNotAllowed, "this path takes "+allow)
		})
	}
}

// NotFound answers 404 as a problem; mount it at "/".
func (h *Handler) NotFound(w http.ResponseWriter, _ *http.Request) {
	h.cfg.Refused(RefusedPath)
	WriteProblem(w, http.StatusNotFound, "there is nothing here; /openapi.json has what there is")
}

// LogPath is a request's path for logs: without the key that the path of a source log
// may hold.
func LogPath(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, pathSourceLog+"/") {
		return pathSourceKey
	}
	return r.URL.Path
}

// Gaps returns the numbers that servers left out, as this node has seen them: by server,
// log and number.
func (h *Handler) Gaps() []Gap { return h.gaps.list() }

func (h *Handler) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
	_, _ = w.Write(h.cfg.Document) // a client that has gone needs no answer
}
