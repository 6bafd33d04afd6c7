package httpapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// serve makes the handler reachable by other people's programs.
func (a *api) serve() string {
	s := httptest.NewServer(a.mux)
	a.Cleanup(s.Close)
	return s.URL
}

// The CloudEvents SDK for Go, as somebody else uses it, sends events that are taken: one
// by one and as a batch.
func TestCloudEventsSDK(t *testing.T) {
	a := newAPI(t, Config{})
	url := a.serve() + pathEvents
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(url), cloudevents.WithHeader("Authorization", "Bearer "+a.key))
	if err != nil {
		t.Fatal(err)
	}
	event := func(id, source string) cloudevents.Event {
		e := cloudevents.NewEvent()
		e.SetID(id)
		e.SetSource(source)
		e.SetType("com.example.kill")
		e.SetTime(noon)
		e.SetExtension("sequence", "12")
		if err := e.SetData(cloudevents.ApplicationJSON, map[string]any{"player": "p1", "target": "rabbit", "attrs": map[string]string{"weapon": "bow"}}); err != nil {
			t.Fatal(err)
		}
		return e
	}
	ctx := cloudevents.WithEncodingStructured(t.Context())
	if result := client.Send(ctx, event("1", "eu-1")); !cloudevents.IsACK(result) {
		t.Fatalf("one: %v", result)
	}
	if e := a.node.last(t).Events[0]; e.Player != "p1" || e.Seq != 12 || e.At.Time() != noon || e.Attrs["weapon"] != "bow" {
		t.Errorf("the node was given %+v", e)
	}
	if result := client.Send(ctx, event("1", "us-1")); cloudevents.IsACK(result) || !strings.Contains(result.Error(), "403") {
		t.Errorf("another source: %v", result)
	}
	batch, err := json.Marshal([]cloudevents.Event{event("1", "eu-1"), event("2", "eu-1")})
	if err != nil {
		t.Fatal(err)
	}
	v := a.post(pathEvents, cloudevents.ApplicationCloudEventsBatchJSON, string(batch))
	v.want(t, http.StatusOK, 1, 1, 0)
}

// curl runs the command; it skips the test where there is no curl.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl on this machine")
	}
	out, err := exec.CommandContext(t.Context(), program, append([]string{"--silent", "--show-error"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	return string(out)
}

// What the README and an operator at night do: a file of events, packed, by curl; and a
// body that is too large is refused before it is sent, if the sender asks.
func TestCurl(t *testing.T) {
	a := newAPI(t, Config{})
	url := a.serve()
	path := filepath.Join(t.TempDir(), "events.ndjson.gz")
	if err := os.WriteFile(path, []byte(packed(t, "gzip", kill+"\n"+purchase+"\n{\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	out := curl(t, "-H", "Authorization: Bearer "+a.key, "-H", "Content-Type: application/x-ndjson", "-H", "Content-Encoding: gzip", "--data-binary", "@"+path, url+pathEvents)
	if !strings.HasPrefix(out, `{"accepted":2,"duplicates":0,"rejected":[{"line":3,`) {
		t.Errorf("answered %s", out)
	}
	big := filepath.Join(t.TempDir(), "big")
	f, err := os.Create(big)
	if err == nil {
		err = f.Truncate(64 << 20)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	for _, announced := range []string{"Expect: 100-continue", "Transfer-Encoding: chunked"} {
		out = curl(t, "-H", announced, "-H", "Authorization: Bearer "+a.key, "-H", "Content-Type: application/x-ndjson", "-T", big, "-X", "POST",
			"-o", os.DevNull, "-w", "%{http_code} %{size_upload}", url+pathEvents)
		status, sent, _ := strings.Cut(out, " ")
		n, err := strconv.Atoi(sent)
		if status != "413" || err != nil || n > 32<<20 {
			t.Errorf("%s: answered %s after %s bytes", announced, status, sent)
		}
	}
	out = curl(t, "-H", "Content-Type: text/plain", "-H", headerToken+": r", "-H", headerBegin+": 0", "--data-binary", gameLog, url+pathSourceLog+"/"+a.key)
	if out != `{"accepted":3,"duplicates":0,"rejected":[]}`+"\n" {
		t.Errorf("a log is answered %s", out)
	}
}

// A client that goes away in the middle of its body has sent nothing, and nothing of it
// stays behind.
func TestClientGoesAway(t *testing.T) {
	a := newAPI(t, Config{})
	url := a.serve()
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+pathEvents, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("Content-Type", mediaNDJSON)
	go func() {
		_, _ = io.WriteString(w, kill+"\n")
		_ = w.CloseWithError(errDisk)
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("answered %s", resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	v := a.push(kill) // the only one that the node ever saw
	v.want(t, http.StatusOK, 1, 0, 0)
	if len(a.node.batches) != 1 {
		t.Errorf("the node was given %d batches", len(a.node.batches))
	}
}

// The recipe for curl: a file goes in parts, a part that could not be stored is sent
// again, one that is refused ends it with the answer.
func TestPushScript(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl on this machine")
	}
	a := newAPI(t, Config{})
	a.node.err = errDisk
	failing := 0
	outage := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mux.ServeHTTP(w, r)
		if failing++; failing == 1 {
			a.node.mu.Lock()
			a.node.err = nil
			a.node.mu.Unlock()
		}
	})
	s := httptest.NewServer(outage)
	defer s.Close()
	run := func(key, text string) (string, error) {
		path := filepath.Join(t.TempDir(), "events.ndjson")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "../../configs/push-file.sh", s.URL, path)
		cmd.Env = append(os.Environ(), "PF_KEY="+key)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var lines strings.Builder
	for i := range 5001 {
		lines.WriteString(strings.Replace(kill, `"183"`, `"`+strconv.Itoa(i)+`"`, 1) + "\n")
	}
	out, err := run(a.key, lines.String())
	if err != nil || !strings.Contains(out, "503, again") || !strings.Contains(out, `{"accepted":5000,`) || !strings.Contains(out, `{"accepted":1,`) {
		t.Errorf("it ends with %v and says %s", err, out)
	}
	if out, err := run(a.revoked, kill); err == nil || !strings.Contains(out, `"status":401`) || strings.Contains(out, a.revoked) {
		t.Errorf("a wrong key ends with %v: %s", err, out)
	}
	if out, err := run(a.key, ""); err != nil || out != "" {
		t.Errorf("an empty file ends with %v: %s", err, out)
	}
}
