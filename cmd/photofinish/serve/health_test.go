package serve

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func get(handler http.Handler, method, path string) (int, string) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	return w.Code, w.Body.String()
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
		{public, "POST", "/healthz", 405, `{}`},
	} {
		if code, body := get(test.on, test.method, test.path); code != test.code || body != test.body+"\n" {
			t.Errorf("%s %s: %d %s", test.method, test.path, code, body)
		}
	}
	full = errors.New("the disk of /srv/spool is full")
	if code, body := get(public, "GET", "/readyz"); code != 503 || body != "{\"ready\":false}\n" {
		t.Errorf("a full spool: %d %s", code, body)
	}
	if code, body := get(operators, "GET", "/readyz"); code != 503 || body != `{"ready":false,"detail":"the disk of /srv/spool is full"}`+"\n" {
		t.Errorf("a full spool, for operators: %d %s", code, body)
	}
}

// Profiles and metrics are there for operators.
func TestOperators(t *testing.T) {
	handler := Operators(&Health{}, NewMetrics())
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/goroutine", "/healthz", "/readyz"} {
		if code, _ := get(handler, "GET", path); code != 200 {
			t.Errorf("%s: %d", path, code)
		}
	}
}
