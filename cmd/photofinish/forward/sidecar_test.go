package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"photofinish/ingest"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/keys"
	"photofinish/ingest/sender"
	"photofinish/rules"
)

// node is a real node behind the real handler, without ClickHouse, that remembers what it
// was given.
type node struct {
	*ingest.Node
	url string

	mu      sync.Mutex
	down    error
	batches []ingest.Batch
	taken   map[string]rules.Event // by id
	news    chan struct{}          // something was taken
}

const serverKey = "pf_the-key-of-eu-1"

func (n *node) Find(_ context.Context, text string) (keys.Key, error) {
	if text != serverKey {
		return keys.Key{}, keys.ErrUnknown
	}
	return keys.Key{ID: "1", Grant: keys.Grant{Role: keys.RoleServer, Server: "eu-1", Region: "eu"}}, nil
}

func (n *node) Accept(ctx context.Context, b ingest.Batch) (ingest.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down != nil {
		return ingest.Result{}, n.down
	}
	result, err := n.Node.Accept(ctx, b)
	if err != nil {
		return result, err
	}
	n.batches = append(n.batches, b)
	for _, e := range b.Events {
		n.taken[e.ID] = e
	}
	select {
	case n.news <- struct{}{}:
	default:
	}
	return result, nil
}

// await waits until the node has taken what the test looks for.
func (n *node) await(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		n.mu.Lock()
		ok := done()
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-n.news:
		case <-deadline:
			t.Fatalf("it has not come in a minute; the node has %v", n.taken)
		}
	}
}

func newNode(t testing.TB) *node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	real, err := ingest.New(nil, log, ingest.Config{Node: "eu", Dir: t.TempDir(), LookupAfter: 1000 * time.Hour}, time.Now)
	if err == nil {
		err = real.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Close() })
	n := &node{Node: real, taken: map[string]rules.Event{}, news: make(chan struct{}, 1)}
	h, err := httpapi.New(n, n, log, httpapi.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.Mount(mux)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	n.url = server.URL
	return n
}

// sidecar is one that runs until stop, on a folder.
type sidecar struct {
	url  string
	s    *sender.Sender
	stop func()
}

func start(t testing.TB, n *node, dir string) *sidecar {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := sender.Open(sender.Config{
		Dir: dir, Nodes: []string{n.url}, Heartbeat: -1, SegmentBytes: 1 << 20,
		Key: func() (string, error) { return serverKey, nil },
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(s, "eu-1", log)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, l) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &sidecar{"http://" + l.Addr().String(), s, stop}
}

// push posts a body and returns the status and what was said.
func (s *sidecar) push(t testing.TB, media, body string) (int, string) {
	t.Helper()
	response, err := http.Post(s.url+pathEvents, media, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(b))
}

func event(id, kind string, at time.Time) string {
	return fmt.Sprintf(`{"id":%q,"type":%q,"at":%q,"player":"ana","target":"rabbit"}`, id, kind, at.UTC().Format(time.RFC3339Nano)) + "\n"
}

const ndjson = "application/x-ndjson"

// The whole way: what a game posts to the sidecar, a real node takes, once, in order, with
// numbers and an estimate of the clock; a heartbeat behind it; and what was wrong at once.
func TestThroughTheSidecar(t *testing.T) {
	n := newNode(t)
	s := start(t, n, t.TempDir())
	now := time.Now()
	body := event("a", "kill", now) + event("b", "kill", now) + `{"id":"c","type":"kill","at":"` + now.UTC().Format(time.RFC3339Nano) + `"}` + "\nnonsense\n" + event("h", "heartbeat", now)
	status, said := s.push(t, ndjson, body)
	if status != 200 || !strings.Contains(said, `{"accepted":3,"duplicates":0,"rejected":[`) || !strings.Contains(said, `"line":3,"id":"c"`) || !strings.Contains(said, `"line":4`) {
		t.Errorf("%d %s", status, said)
	}
	if status, said = s.push(t, ndjson, event("b", "kill", now)); status != 200 || said != `{"accepted":0,"duplicates":1,"rejected":[]}` {
		t.Errorf("again: %d %s", status, said)
	}
	cloud := `{"specversion":"1.0","source":"eu-1","id":"d","type":"net.example.kill","time":"` + now.UTC().Format(time.RFC3339Nano) + `","data":{"player":"ana"}}`
	if status, said = s.push(t, "application/cloudevents+json", cloud); status != 200 || !strings.Contains(said, `"accepted":1`) {
		t.Errorf("CloudEvent: %d %s", status, said)
	}
	n.await(t, func() bool {
		beat := false
		for id := range n.taken {
			beat = beat || strings.Contains(id, "-h")
		}
		return len(n.taken) == 4 && beat
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, b, d := n.taken["a"], n.taken["b"], n.taken["d"]; a.Seq != 1 || b.Seq != 2 || d.Seq != 3 || a.At != rules.Instant(now.UnixNano()) {
		t.Errorf("the node has %+v, %+v, %+v", a, b, d)
	}
	for _, batch := range n.batches {
		if batch.Server != "eu-1" || batch.Region != "eu" || len(batch.Events) > 0 && batch.Clock == nil {
			t.Errorf("a batch of %s in %s with clock %v", batch.Server, batch.Region, batch.Clock)
		}
	}
}

// While no node takes anything, events are kept, also over a stop and a start; a stop that
// cannot send them says nothing and loses nothing.
func TestKeptWhileTheNodeIsAway(t *testing.T) {
	n := newNode(t)
	n.down = errors.New("the disk is full")
	dir := t.TempDir()
	s := start(t, n, dir)
	if status, said := s.push(t, ndjson, event("a", "kill", time.Now())); status != 200 {
		t.Fatalf("%d %s", status, said)
	}
	s.stop()
	n.mu.Lock()
	n.down = nil
	n.mu.Unlock()
	s = start(t, n, dir)
	n.await(t, func() bool { return n.taken["a"].Seq == 1 })
	s.stop()
	s = start(t, n, dir)
	if st := s.s.Status(); st.Unsent != 0 {
		t.Errorf("after it was sent: %+v", st)
	}
}

// Others than the game do not get in: another name of this machine, a page in a browser.
// What the sidecar cannot carry is refused.
func TestRefusals(t *testing.T) {
	s := start(t, newNode(t), t.TempDir())
	for name, c := range map[string]struct {
		method, path, host string
		header             map[string]string
		status             int
		says               string
	}{
		"rebound name": {"POST", pathEvents, "evil.example:8090", nil, 421, "no other name"},
		"a page":       {"POST", pathEvents, "", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "cross-origin"},
		"an old page":  {"POST", pathEvents, "", map[string]string{"Origin": "https://evil.example"}, 403, "cross-origin"},
		"GET":          {"GET", pathEvents, "", nil, 405, "POST"},
		"a source log": {"POST", "/v1/source-log", "", nil, 404, "nothing here"},
		"a form":       {"POST", pathEvents, "", map[string]string{"Content-Type": "text/plain"}, 415, ""},
		"health":       {"GET", "/healthz", "", nil, 200, `"status": "ok"`},
		"ready":        {"GET", "/readyz", "", nil, 200, "ready"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = c.host
		for k, v := range c.header {
			request.Header.Set(k, v)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != c.status || !strings.Contains(string(b), c.says) {
			t.Errorf("%s: %d %s", name, response.StatusCode, b)
		}
	}
}

func TestListensOnLoopbackAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":8090", "192.0.2.1:8090", "[::]:0", "example.com:80", ""} {
		l, err := Listen(t.Context(), address)
		if refused := new(AddressError); !errors.As(err, &refused) {
			_ = l.Close()
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		l, err := Listen(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			t.Errorf("%s became %s", address, l.Addr())
		}
		_ = l.Close()
	}
}
