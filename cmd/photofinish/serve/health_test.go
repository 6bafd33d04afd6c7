package serve

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"photofinish/announce/web"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/httpapi/openapitest"
)

func get(handler http.Handler, method, path string) (int, string) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	return w.Code, w.Body.String()
}

// asked is get, and holds request and answer to the document of all paths.
func asked(t *testing.T, handler http.Handler, method, path string) (int, string) {
	t.Helper()
	document, err := Document(httpapi.Document(), web.Document())
	if err != nil {
		t.Fatal(err)
	}
	r, w := httptest.NewRequest(method, path, http.NoBody), httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	openapitest.Load(t, document).Conforms(t, r, w.Code, w.Header(), w.Body.Bytes())
	return w.Code, w.Body.String()
}

// One document has the paths of all packages; what they name alike must be the same.
func TestDocument(t *testing.T) {
	body, err := Document(httpapi.Document(), web.Document())
	if err != nil {
		t.Fatal(err)
	}
	paths := openapitest.Load(t, body).Doc.Paths
	for _, path := range []string{"/v1/events", "/v1/source-log", "/v1/awards", "/v1/leaderboards/{rule}", "/v1/reports", "/", "/healthz", "/readyz", "/openapi.json"} {
		if paths.Value(path) == nil {
			t.Errorf("the document lacks %s", path)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/openapi.json", OpenAPI(body))
	if code, served := asked(t, mux, "GET", "/openapi.json"); code != 200 || served != string(body) {
		t.Errorf("it is served as %d %s", code, served)
	}
	for name, wrong := range map[string]string{
		"no document":     `[]`,
		"another version": `{"openapi":"3.0.0"}`,
		"another path":    `{"openapi":"3.1.0","paths":{"/healthz":{}}}`,
		"another schema":  `{"openapi":"3.1.0","components":{"schemas":{"Health":{"type":"string"}}}}`,
	} {
		if _, err := Document(httpapi.Document(), []byte(wrong)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Health names every part with its state; the public sees no reasons; and a process that
// waits for a store is alive, and ready as long as it can keep events.
func TestHealth(t *testing.T) {
	var full error
	h := &Health{}
	h.Add("spool", func() (Status, string) { return OK, "" })
	h.Add("clickhouse", func() (Status, string) { return Failing, "dial 10.0.0.7: refused" })
	h.Add("settle", func() (Status, string) { return Waiting, "there are no rules" })
	h.Ready(func() error { return full })
	public, operators := http.NewServeMux(), http.NewServeMux()
	h.Mount(public, false)
	h.Mount(operators, true)
	for _, test := range []struct {
		on           http.Handler
		method, path string
		code         int
		body         string
	}{
		{
			public, "GET", "/healthz", 200,
			`{"status":"failing","parts":[{"name":"spool","status":"ok"},{"name":"clickhouse","status":"failing"},{"name":"settle","status":"waiting"}]}`,
		},
		{
			operators, "GET", "/healthz", 200,
			`{"status":"failing","parts":[{"name":"spool","status":"ok"},{"name":"clickhouse","status":"failing","detail":"dial 10.0.0.7: refused"},` +
				`{"name":"settle","status":"waiting","detail":"there are no rules"}]}`,
		},
		{public, "GET", "/readyz", 200, `{"ready":true}`},
		{public, "POST", "/healthz", 405, `{"title":"Method Not Allowed","status":405,"detail":"this path is only read"}`},
	} {
		if code, body := asked(t, test.on, test.method, test.path); code != test.code || body != test.body+"\n" {
			t.Errorf("%s %s: %d %s", test.method, test.path, code, body)
		}
	}
	full = errors.New("the disk of /srv/spool is full")
	if code, body := asked(t, public, "GET", "/readyz"); code != 503 || body != "{\"ready\":false}\n" {
		t.Errorf("a full spool: %d %s", code, body)
	}
	if code, body := asked(t, operators, "GET", "/readyz"); code != 503 || body != `{"ready":false,"detail":"the disk of /srv/spool is full"}`+"\n" {
		t.Errorf("a full spool, for operators: %d %s", code, body)
	}
}

// Profiles and metrics are there for operators; what is not there is a problem that says so.
func TestOperators(t *testing.T) {
	handler := Operators(&net.TCPAddr{IP: net.IPv4zero, Port: 8081}, &Health{}, NewMetrics())
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/goroutine", "/healthz", "/readyz"} {
		if code, _ := get(handler, "GET", path); code != 200 {
			t.Errorf("%s: %d", path, code)
		}
	}
	for path, want := range map[string]string{"/": "/metrics", "/nope": "/metrics", "/v1/awards": "/metrics", "/debug/pprof/nope": `"nope"`} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		var problem struct {
			Status int
			Detail string
		}
		err := json.Unmarshal(w.Body.Bytes(), &problem)
		if err != nil || w.Code != 404 || problem.Status != 404 || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(problem.Detail, want) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
}

// On loopback operators are answered under no name that a page could have led there, and
// elsewhere under any.
func TestOperatorsHosts(t *testing.T) {
	here, everywhere := net.ParseIP("127.0.0.1"), net.IPv4zero
	for host, local := range map[string]bool{
		"127.0.0.1:8081": true, "127.8.9.1": true, "localhost:8081": true, "LocalHost": true, "[::1]:8081": true, "[::1]": true, "": true,
		"evil.example:8081": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "10.0.0.7:8081": false, "[fe80::1]:8081": false,
	} {
		for _, at := range []net.IP{here, net.IPv6loopback, everywhere, net.ParseIP("10.0.0.7")} {
			handler := Operators(&net.TCPAddr{IP: at, Port: 8081}, &Health{}, NewMetrics())
			for _, path := range []string{"/metrics", "/debug/pprof/cmdline", "/healthz"} {
				r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
				r.Host = host
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				want := http.StatusOK
				if at.IsLoopback() && !local {
					want = http.StatusMisdirectedRequest
				}
				if w.Code != want {
					t.Errorf("at %s the host %q gets %s: %d, want %d", at, host, path, w.Code, want)
				}
			}
		}
	}
}
