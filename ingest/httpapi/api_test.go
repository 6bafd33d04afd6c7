package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"photofinish/ingest"
	"photofinish/ingest/httpapi/openapitest"
	"photofinish/ingest/keys"
)

// noon is what the node's clock says at the start of a test.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// api is a real node behind the handler, with the keys of some servers and readers.
type api struct {
	testing.TB
	*Handler
	mux     *http.ServeMux
	node    *recorder
	key     string // of the server eu-1
	reader  string // of a consumer
	revoked string

	mu      sync.Mutex
	at      time.Time
	known   map[string]keys.Key
	loading bool
	counted map[string]int
	refused map[string]int
	said    bytes.Buffer
}

// recorder is the node, with what it was given.
type recorder struct {
	Acceptor
	mu      sync.Mutex
	batches []ingest.Batch
	err     error
	entered chan struct{} // where set, Accept says that it is there, and does not return
	wait    chan struct{} // before this is closed
}

func (r *recorder) Accept(ctx context.Context, b ingest.Batch) (ingest.Result, error) {
	r.mu.Lock()
	r.batches = append(r.batches, b)
	err := r.err
	r.mu.Unlock()
	if r.wait != nil {
		close(r.entered)
		<-r.wait
	}
	if err != nil {
		return ingest.Result{}, err
	}
	return r.Acceptor.Accept(ctx, b)
}

func (r *recorder) last(t testing.TB) ingest.Batch {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.batches) == 0 {
		t.Fatal("the node was given nothing")
	}
	return r.batches[len(r.batches)-1]
}

func (a *api) Find(_ context.Context, text string) (keys.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.known[text]
	switch {
	case a.loading:
		return k, keys.ErrNotLoaded
	case !ok:
		return k, keys.ErrUnknown
	}
	return k, nil
}

func (a *api) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}

func (a *api) advance(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = a.at.Add(d)
}

func (a *api) addKey(g keys.Grant) string {
	a.Helper()
	text, k, err := keys.New(g, noon)
	if err != nil {
		a.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[text] = k
	return text
}

func newAPI(t testing.TB, cfg Config) *api {
	t.Helper()
	a := &api{TB: t, at: noon, known: map[string]keys.Key{}, counted: map[string]int{}, refused: map[string]int{}}
	node, err := ingest.New(nil, slog.New(slog.DiscardHandler), ingest.Config{Node: "n1", Dir: t.TempDir(), LookupAfter: 1e6 * time.Hour}, a.now)
	if err == nil {
		err = node.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	a.node = &recorder{Acceptor: node}
	cfg.Now = a.now
	cfg.Count = func(result string, n int) { a.count(a.counted, result, n) }
	cfg.Refused = func(reason string) { a.count(a.refused, reason, 1) }
	a.Handler, err = New(a.node, a, slog.New(slog.NewJSONHandler(&a.said, nil)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.mux = http.NewServeMux()
	a.Mount(a.mux)
	a.mux.HandleFunc("/", a.NotFound)
	a.key = a.addKey(keys.Grant{Role: keys.RoleServer, Server: "eu-1", Region: "eu", Timezone: "Europe/Berlin"})
	a.reader = a.addKey(keys.Grant{Role: keys.RoleConsumer})
	a.revoked, _, _ = keys.New(keys.Grant{Role: keys.RoleServer, Server: "eu-2", Region: "eu", Timezone: "UTC"}, noon)
	return a
}

func (a *api) count(of map[string]int, what string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of[what] += n
}

// verdict is an answer, whether events were judged or the request was refused.
type verdict struct {
	status   int
	header   http.Header
	Accepted int `json:"accepted"`
	Dups     int `json:"duplicates"`
	Confl    int `json:"conflicts"`
	Rejected []ingest.Rejected
	problem
}

// send makes a request of the headers "Name: value".
func request(method, path string, body io.Reader, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, body)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// post pushes with the key of eu-1.
func (a *api) post(path, media, body string, headers ...string) verdict {
	a.Helper()
	return a.do(request(http.MethodPost, path, strings.NewReader(body), append(headers, "Content-Type: "+media, "Authorization: Bearer "+a.key)...), body)
}

func (a *api) push(lines string, headers ...string) verdict {
	a.Helper()
	return a.post(pathEvents, mediaNDJSON, lines, headers...)
}

// do sends a request and holds it and its answer against the document. unpacked is the
// body as it was before it was packed.
func (a *api) do(r *http.Request, unpacked string) (v verdict) {
	a.Helper()
	w := httptest.NewRecorder()
	described := r.Clone(a.Context())
	a.mux.ServeHTTP(w, r)
	v.status, v.header = w.Code, w.Header()
	described.Body, described.ContentLength = io.NopCloser(strings.NewReader(unpacked)), int64(len(unpacked))
	conforms(a, described, w)
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		a.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if isProblem := w.Header().Get("Content-Type") == "application/problem+json"; isProblem != (w.Code != http.StatusOK) || isProblem && (v.Status != w.Code || v.Title != http.StatusText(w.Code) || v.Detail == "") {
		a.Errorf("%d is answered by %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return v
}

func (v *verdict) want(t testing.TB, status, accepted, duplicates, rejected int) {
	t.Helper()
	if v.status != status || v.Accepted != accepted || v.Dups != duplicates || len(v.Rejected) != rejected {
		t.Fatalf("answered %d: %d accepted, %d duplicates, rejected %+v, %s; want %d: %d, %d, %d rejected",
			v.status, v.Accepted, v.Dups, v.Rejected, v.Detail, status, accepted, duplicates, rejected)
	}
}

func (v *verdict) refused(t testing.TB, status int, says string) {
	t.Helper()
	if v.status != status || !strings.Contains(v.Detail, says) {
		t.Fatalf("answered %d %q, want %d and %q", v.status, v.Detail, status, says)
	}
}

// document is openapi.json, checked once.
var document struct {
	sync.Once
	*openapitest.Document
}

// conforms fails the test where the answer is none that the document has for the
// request, and where a request that was taken is none that it allows.
func conforms(t testing.TB, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	document.Do(func() { document.Document = openapitest.Load(t, openAPI) })
	document.Conforms(t, r, w.Code, w.Header(), w.Body.Bytes())
}

// The document is valid, has exactly the routes that are mounted, and is served.
func TestDocument(t *testing.T) {
	a := newAPI(t, Config{})
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			if method == "parameters" {
				continue
			}
			_, pattern := a.mux.Handler(httptest.NewRequest(strings.ToUpper(method), strings.ReplaceAll(path, "{key}", "x"), nil))
			if pattern != strings.ToUpper(method)+" "+path {
				t.Errorf("%s %s is answered by %q", method, path, pattern)
			}
		}
	}
	for _, path := range []string{pathEvents, pathSourceLog, pathSourceKey, pathOpenAPI} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is mounted and not in the document", path)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, pathOpenAPI, nil)
	a.mux.ServeHTTP(w, r)
	conforms(t, r, w)
	if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), openAPI) {
		t.Errorf("it is answered %d", w.Code)
	}
}

// A document that says another thing than the handler does would be noticed.
func TestConformsNotices(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.WriteString(`{"accepted":"1","duplicates":0,"rejected":[]}`)
	probe := &probe{TB: t}
	r := request(http.MethodPost, pathEvents, strings.NewReader(""), "Content-Type: "+mediaNDJSON)
	conforms(probe, r, w)
	if probe.errors == 0 {
		t.Error("a count that is a string is taken for one")
	}
}

// probe counts the errors of a check.
type probe struct {
	testing.TB
	errors int
}

func (p *probe) Errorf(string, ...any) { p.errors++ }

var errDisk = errors.New("no space left on device")

func noonClock() time.Time { return noon }

func loaded(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func parsed(t testing.TB, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
