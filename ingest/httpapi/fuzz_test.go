package httpapi

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"photofinish/ingest"
	"photofinish/ingest/keys"
	"photofinish/ingest/mutate"
	"photofinish/rules"
)

// fuzzed is a handler over a node that checks what it is given against the bounds.
type fuzzed struct {
	testing.TB
	h   *Handler
	mux *http.ServeMux
	key keys.Key
}

const fuzzBody = 32 << 10

func (f *fuzzed) Find(context.Context, string) (keys.Key, error) { return f.key, nil }

func (f *fuzzed) Accept(_ context.Context, b ingest.Batch) (ingest.Result, error) {
	bytes := 0
	for i := range b.Events {
		e := &b.Events[i]
		bytes += len(e.ID) + len(e.Type) + len(e.Player) + len(e.Guild) + len(e.Target) + len(e.SKU)
		for name, value := range e.Attrs {
			bytes += len(name) + len(value)
		}
		if len(e.Attrs) > ingest.MaxAttrs {
			f.Errorf("an event has %d attributes", len(e.Attrs))
		}
	}
	const ownPerEvent = 160 // an id of token and offset, words such as purchase and headshot
	const growth = 3        // a byte that is not UTF-8 becomes three
	if n := len(b.Events); n == 0 || n > ingest.MaxBatchEvents || n != len(b.Lines) || bytes > growth*fuzzBody+n*ownPerEvent || b.Server != f.key.Server {
		f.Errorf("%d events with %d lines and %d bytes of %q", n, len(b.Lines), bytes, b.Server)
	}
	if b.OpenNs != nil && len(b.OpenNs) != len(b.Events) {
		f.Errorf("%d stamps of %d events", len(b.OpenNs), len(b.Events))
	}
	if c := b.Clock; c != nil && (c.ErrNs < 0 || c.ErrNs > int64(ingest.MaxClockOffset) || c.OffsetNs > int64(ingest.MaxClockOffset) || c.OffsetNs < -int64(ingest.MaxClockOffset)) {
		f.Errorf("a clock of %+v", c)
	}
	return ingest.Result{Accepted: len(b.Events)}, nil
}

func newFuzzed(t testing.TB) *fuzzed {
	t.Helper()
	_, k, err := keys.New(keys.Grant{Role: keys.RoleServer, Server: "eu-1", Region: "eu", Timezone: "Europe/Berlin"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	f := &fuzzed{TB: t, key: k, mux: http.NewServeMux()}
	f.h, err = New(f, f, slog.New(slog.DiscardHandler), Config{Now: noonClock, MaxBody: fuzzBody})
	if err != nil {
		t.Fatal(err)
	}
	f.h.Mount(f.mux)
	return f
}

// send checks that whatever is sent is answered by a status that the contract has, that
// nothing is held afterwards, and that the answer is not much longer than the body.
func (f *fuzzed) send(r *http.Request, size int) {
	f.Helper()
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	if !slices.Contains([]int{200, 400, 403, 413, 415}, w.Code) {
		f.Errorf("answered %d: %s", w.Code, w.Body)
	}
	if f.h.limits.bytes != 0 || f.h.limits.bodies != 0 {
		f.Errorf("%d bytes and %d bodies are still held", f.h.limits.bytes, f.h.limits.bodies)
	}
	if most := 2000 + 500*max(size, fuzzBody); w.Body.Len() > most {
		f.Errorf("the answer has %d bytes", w.Body.Len())
	}
}

// Any body in any language and packing is judged within the bounds.
func FuzzEvents(f *testing.F) {
	for i, media := range medias() {
		body := bodies()[i]
		f.Add(media, "", "", body)
		f.Add(media, "gzip", "1,2,3,4", packed(f, "gzip", body))
		f.Add(media, "zstd", header(noon, time.Hour, time.Second, time.Second), packed(f, "zstd", body))
	}
	f.Add(mediaNDJSON, "gzip, gzip", "", strings.Repeat("[", 100))
	f.Add(mediaNDJSON, "gzip", "", packed(f, "gzip", strings.Repeat("{}\n", fuzzBody)))
	f.Fuzz(func(t *testing.T, media, encoding, clock, body string) {
		eventsAreJudged(t, media, encoding, clock, body)
	})
}

// medias are the media types of events, and bodies one of each.
func medias() []string { return []string{mediaNDJSON, mediaEvent, mediaBatch} }

func bodies() []string {
	return []string{kill + "\n" + purchase + "\n{\n", cloud, "[" + cloud + "," + foreign + "]"}
}

func eventsAreJudged(t testing.TB, media, encoding, clock, body string) {
	t.Helper()
	f := newFuzzed(t)
	r := request(http.MethodPost, pathEvents, strings.NewReader(body), "Authorization: Bearer x")
	r.Header["Content-Type"] = []string{media}
	r.Header[headerClock] = []string{clock}
	if encoding != "" {
		r.Header["Content-Encoding"] = []string{encoding}
	}
	f.send(r, len(body))
}

// Any chunk of a log, at any offset, is judged within the bounds, and each event keeps
// its identity when the chunk is sent in two.
func FuzzSourceLog(f *testing.F) {
	f.Add(gameLog, "0816dd577479d82a", uint64(0), 3)
	f.Add("L 02/14/2014 - 06:09:34: \"a<1><BOT><CT>\" killed \"b<2><BOT><T>\" with \"x\"\r\n\n", "r", uint64(math.MaxInt64), 1)
	f.Fuzz(func(t *testing.T, body, token string, begin uint64, cut int) {
		chunkIsJudged(t, body, token, begin, cut)
	})
}

func chunkIsJudged(t testing.TB, body, token string, begin uint64, cut int) {
	t.Helper()
	f := newFuzzed(t)
	r := request(http.MethodPost, pathSourceLog+"/x", strings.NewReader(body), "Content-Type: text/plain")
	r.Header[http.CanonicalHeaderKey(headerToken)] = []string{token}
	r.Header[http.CanonicalHeaderKey(headerBegin)] = []string{strconv.FormatUint(begin, 10)}
	f.send(r, len(body))
	if len(body) > fuzzBody || begin > math.MaxInt64 {
		return
	}
	whole := identities(t, chunk{token, begin, true}, body)
	lines := strings.SplitAfter(body, "\n")
	cut = min(max(cut, 0), len(lines))
	first := strings.Join(lines[:cut], "")
	parts := append(identities(t, chunk{token, begin, true}, first), identities(t, chunk{token, begin + uint64(len(first)), true}, body[len(first):])...)
	if !slices.Equal(whole, parts) {
		t.Errorf("whole it holds %v, in two %v", whole, parts)
	}
}

// The same of very many bodies that are nearly right, through the whole handler.
func TestMutated(t *testing.T) {
	var packs []string
	for _, body := range bodies() {
		packs = append(packs, packed(t, "gzip", body), packed(t, "zstd", body))
	}
	t.Run("http-events", func(t *testing.T) {
		mutate.Run(t, os.Getenv, append(bodies(), packs...), func(t testing.TB, r *rand.Rand, body []byte) {
			t.Helper()
			encoding := []string{"", "", "gzip", "zstd", string(mutate.Text(r, []string{"gzip"}))}[r.IntN(5)]
			clock := string(mutate.Text(r, []string{"1,2,3,4", header(noon, time.Hour, time.Second, time.Second)}))
			eventsAreJudged(t, medias()[r.IntN(3)], encoding, clock, string(body))
		})
	})
	t.Run("http-source-log", func(t *testing.T) {
		mutate.Run(t, os.Getenv, []string{gameLog}, func(t testing.TB, r *rand.Rand, body []byte) {
			t.Helper()
			chunkIsJudged(t, string(body), string(mutate.Text(r, []string{"0816dd577479d82a"})), r.Uint64()>>r.IntN(64), r.IntN(8))
		})
	})
}

// identities returns what a chunk holds, heartbeats aside.
func identities(t testing.TB, c chunk, body string) (list []string) {
	t.Helper()
	d, err := c.decode([]byte(body), time.UTC)
	if err != nil {
		return nil
	}
	for i := range d.events {
		if e := d.events[i]; e.Type != rules.TypeHeartbeat {
			content := e.Digest()
			list = append(list, e.ID+" "+string(content[:]))
		}
	}
	return list
}
