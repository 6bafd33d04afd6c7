package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"photofinish/ingest"
	"photofinish/ingest/keys"
	"photofinish/rules"
)

const (
	kill     = `{"id":"183","type":"kill","at":"2026-11-21T11:59:00.123456789Z","player":"p42","guild":"g7","target":"rabbit","count":1,"seq":183,"attrs":{"weapon":"bow"}}`
	purchase = `{"id":"b17","type":"purchase","at":"2026-11-21T11:59:01Z","player":"p42","sku":"celestial-mount","count":"2","price":{"amount":999,"currency":"USD"}}`
	beat     = `{"id":"h9","type":"heartbeat","at":"2026-11-21T11:59:02Z"}`
	cloud    = `{"specversion":"1.0","id":"c1","source":"eu-1","type":"game.kill","time":"2026-11-21T11:59:03Z","sequence":"7","data":{"player":"p1","target":"fox"}}`
	foreign  = `{"specversion":"1.0","id":"c1","source":"us-1","type":"game.kill","time":"2026-11-21T11:59:03Z","data":{"player":"p1"}}`
)

func packed(t testing.TB, encoding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if encoding == "zstd" {
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is pushed reaches the node as it was sent, under the key's server and region, and
// the answer says what the node said.
func TestPush(t *testing.T) {
	a := newAPI(t, Config{})
	v := a.push(kill + "\r\n\n  \n" + purchase + "\n" + beat)
	v.want(t, http.StatusOK, 3, 0, 0)
	b := a.node.last(t)
	want, err := ingest.DecodeEvent([]byte(kill))
	if err != nil {
		t.Fatal(err)
	}
	if b.Server != "eu-1" || b.Region != "eu" || !slices.Equal(b.Lines, []int{1, 4, 5}) || b.Clock != nil || !reflect.DeepEqual(b.Events[0], want) || b.Events[1].Price.Amount != 999 {
		t.Errorf("the node was given %+v", b)
	}
	ns := strconv.FormatInt(noon.UnixNano(), 10)
	if v.header.Get(headerReceived) != ns || v.header.Get(headerSent) != ns {
		t.Errorf("the times of the answer are %s and %s", v.header.Get(headerReceived), v.header.Get(headerSent))
	}
	again := a.push(kill + "\n" + strings.Replace(purchase, "p42", "p43", 1))
	again.want(t, http.StatusOK, 1, 1, 0)
	if again.Confl != 1 || a.counted[ResultAccepted] != 4 || a.counted[ResultDuplicate] != 1 {
		t.Errorf("%d conflicts; counted %v", again.Confl, a.counted)
	}
	empty := a.push("")
	empty.want(t, http.StatusOK, 0, 0, 0)
}

// Each event of a body is judged alone, with its line; the errors name what is wrong.
func TestEachEventAlone(t *testing.T) {
	a := newAPI(t, Config{})
	bad := []string{
		`{"id":"1","id":"2"}`, "{\"id\":\"\xff\"}", `{"id":"\u0000","type":"kill","at":"2026-11-21T11:59:00Z","player":"p"}`,
		strings.Repeat(`{"attrs":`, 40), `{"id":"1","type":"kill","at":"2026-11-21T11:59:00Z","player":"p","count":99999999999999999999}`,
		`{"id":"n","type":"kill","at":"2026-11-21T11:59:00Z","player":"p","colour":"red"}`, `null`, `[]`,
		`{"id":"f","type":"kill","at":"2036-11-21T11:59:00Z","player":"p"}`, `{"id":"k","type":"kill","at":"2026-11-21T11:59:00Z"}`,
		`{"id":"` + strings.Repeat("x", 70_000) + `"}`, "\x1b[2J", strings.Repeat("x", 330),
	}
	v := a.push(kill + "\n" + strings.Join(bad, "\n") + "\n" + beat)
	v.want(t, http.StatusOK, 2, 0, len(bad))
	for i, r := range v.Rejected {
		if r.Line != i+2 || r.Error == "" || len(r.Error) > 400 || len(r.ID) > ingest.MaxIDBytes || strings.ContainsAny(r.Error, "\x1b\x00") {
			t.Errorf("line %d is rejected by %+v", i+2, r)
		}
	}
	if r := v.Rejected[5]; r.ID != "n" || !strings.Contains(r.Error, `"colour"`) {
		t.Errorf("an unknown field is rejected by %+v", r)
	}
	if a.counted[ResultRejected] != len(bad) {
		t.Errorf("counted %v", a.counted)
	}
}

// CloudEvents come one by one or as a batch; one of another source is rejected alone, and
// if all are, the request is.
func TestCloudEvents(t *testing.T) {
	a := newAPI(t, Config{})
	v := a.post(pathEvents, mediaEvent, cloud)
	v.want(t, http.StatusOK, 1, 0, 0)
	if e := a.node.last(t).Events[0]; e.Type != rules.TypeKill || e.Seq != 7 || e.Target != "fox" {
		t.Errorf("the node was given %+v", e)
	}
	v = a.post(pathEvents, mediaBatch+"; charset=UTF-8", " ["+cloud+",\n"+foreign+" , "+strings.Replace(cloud, "c1", "c2", 1)+"]\n")
	v.want(t, http.StatusOK, 1, 1, 1)
	if r := v.Rejected[0]; r.Line != 2 || r.ID != "c1" || !strings.Contains(r.Error, "us-1") {
		t.Errorf("rejected by %+v", r)
	}
	v = a.post(pathEvents, mediaBatch, "[]")
	v.want(t, http.StatusOK, 0, 0, 0)
	before := len(a.node.batches)
	for _, body := range []string{foreign, "[" + foreign + "," + foreign + "]"} {
		media := mediaEvent
		if body[0] == '[' {
			media = mediaBatch
		}
		v = a.post(pathEvents, media, body)
		v.refused(t, http.StatusForbidden, `"eu-1" alone`)
	}
	for body, says := range map[string]string{
		cloud: "not a JSON array", "[" + cloud: "array", "[" + cloud + "]x": "follows", "": "array", "[{]": "cut off", "[x,y]": "is JSON",
	} {
		v = a.post(pathEvents, mediaBatch, body)
		v.refused(t, http.StatusBadRequest, says)
	}
	v = a.post(pathEvents, mediaBatch, `["`+strings.Repeat("x", 70_000)+`"]`)
	v.want(t, http.StatusOK, 0, 0, 1)
	if r := v.Rejected[0]; !strings.Contains(r.Error, "longer than") {
		t.Errorf("a long element is rejected by %+v", r)
	}
	v = a.post(pathEvents, mediaEvent, "{"+cloud)
	v.refused(t, http.StatusBadRequest, "at byte")
	if len(a.node.batches) != before {
		t.Error("the node was given something of what is refused whole")
	}
}

// Packed bodies are unpacked, and what is damaged, cut off or packed in another way
// changes nothing.
func TestPackedBodies(t *testing.T) {
	a := newAPI(t, Config{MaxBody: 1 << 20}) // less than a usual window
	lines := kill + "\n" + purchase + "\n"
	send := func(body string, encodings ...string) verdict {
		headers := []string{"Content-Type: " + mediaNDJSON, "Authorization: Bearer " + a.key}
		for _, e := range encodings {
			headers = append(headers, "Content-Encoding: "+e)
		}
		return a.do(request(http.MethodPost, pathEvents, strings.NewReader(body), headers...), lines)
	}
	for i, encoding := range []string{"gzip", "zstd", "x-gzip", "identity"} {
		body := lines
		if encoding != "identity" {
			body = packed(t, strings.TrimPrefix(encoding, "x-"), lines)
		}
		v := send(body, encoding)
		v.want(t, http.StatusOK, 2*min(1, max(0, 1-i)), 2*min(1, i), 0)
		if i == 0 || encoding == "identity" {
			continue
		}
		before := len(a.node.batches)
		for cut := 1; cut < len(body); cut++ {
			v := send(body[:cut], encoding)
			v.refused(t, http.StatusBadRequest, "body")
		}
		v = send(body+"rest", encoding)
		v.refused(t, http.StatusBadRequest, "body")
		if len(a.node.batches) != before {
			t.Error("the node was given something of what was cut off")
		}
	}
	body := packed(t, "gzip", packed(t, "gzip", lines))
	for _, encodings := range [][]string{{"gzip, gzip"}, {"gzip", "gzip"}, {"br"}, {"gzip;q=1"}, {"deflate"}} {
		v := send(body, encodings...)
		v.refused(t, http.StatusUnsupportedMediaType, "once")
		if v.header.Get("Accept-Encoding") != "gzip, zstd" {
			t.Errorf("%v: what would do is %q", encodings, v.header.Get("Accept-Encoding"))
		}
	}
	for _, window := range []int{8 << 20, 16 << 20} {
		var wide bytes.Buffer
		w, err := zstd.NewWriter(&wide, zstd.WithWindowSize(window))
		if err == nil {
			_, err = w.Write([]byte(lines))
			err = errors.Join(err, w.Flush(), w.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		v := send(wide.String(), "zstd")
		if window == maxWindowBytes {
			v.want(t, http.StatusOK, 0, 2, 0)
		} else {
			v.refused(t, http.StatusUnsupportedMediaType, "window")
		}
	}
}

// A body beyond the limits is refused before anything of it is kept, at its first byte
// too many, however it is packed, announced or not.
func TestTooLarge(t *testing.T) {
	const limit = 64 << 10
	a := newAPI(t, Config{MaxBody: limit})
	line := kill + "\n"
	fits := strings.Repeat("\n", limit-len(line)) + line
	for _, encoding := range []string{"identity", "gzip", "zstd"} {
		for _, extra := range []int{0, 1} {
			body := strings.Repeat("\n", extra) + fits
			raw := body
			if encoding != "identity" {
				body = packed(t, encoding, body)
			}
			for _, announced := range []bool{true, false} {
				r := request(http.MethodPost, pathEvents, strings.NewReader(body), "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+a.key, "Content-Encoding: "+encoding)
				if !announced {
					r.ContentLength = -1
				}
				before := len(a.node.batches)
				v := a.do(r, raw)
				if extra == 0 && v.status == http.StatusOK && v.Accepted+v.Dups == 1 {
					continue
				}
				v.refused(t, http.StatusRequestEntityTooLarge, "65536 bytes")
				if extra == 0 || len(a.node.batches) != before {
					t.Errorf("%s, %d bytes too many: refused after it was given to the node", encoding, extra)
				}
			}
		}
	}
	if held := a.limits.bytes; held != 0 || a.limits.bodies != 0 {
		t.Errorf("%d bytes and %d bodies are still held", held, a.limits.bodies)
	}
	many := newAPI(t, Config{})
	v := many.push(strings.Repeat("{}\n", ingest.MaxBatchEvents+1))
	v.refused(t, http.StatusRequestEntityTooLarge, "100000 events")
}

// zeros is an endless body, and counts what was taken of it.
type zeros struct{ read int64 }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += int64(len(p))
	return len(p), nil
}

// A bomb costs no more memory than the limit says, and no more than the limit is read of
// a stream without end.
func TestBombs(t *testing.T) {
	a := newAPI(t, Config{MaxBody: 1 << 20})
	zero := strings.Repeat("\x00", 64<<20)
	for _, encoding := range []string{"gzip", "zstd"} {
		bomb := packed(t, encoding, zero)
		if int64(len(bomb)) > a.cfg.MaxBody {
			t.Fatalf("the bomb of %d bytes would be refused packed", len(bomb))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v := a.do(request(http.MethodPost, pathEvents, strings.NewReader(bomb), "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+a.key, "Content-Encoding: "+encoding), "")
		v.refused(t, http.StatusRequestEntityTooLarge, "1048576 bytes")
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
			t.Errorf("%s: %d MiB were allocated", encoding, took>>20)
		}
	}
	endless := &zeros{}
	r := request(http.MethodPost, pathEvents, endless, "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+a.key)
	v := a.do(r, "")
	v.refused(t, http.StatusRequestEntityTooLarge, "parts")
	if endless.read > a.cfg.MaxBody+1 {
		t.Errorf("%d bytes were read", endless.read)
	}
}

// unread fails the test when somebody reads it.
type unread struct{ testing.TB }

func (u unread) Read([]byte) (int, error) {
	u.Error("the body of a refused request is read")
	return 0, io.EOF
}

// What is refused by its headers costs no byte of the body and reaches no node; the
// answer says what would do.
func TestRefusedByHeaders(t *testing.T) {
	a := newAPI(t, Config{})
	media, auth := "Content-Type: "+mediaNDJSON, "Authorization: Bearer "
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
		header, says string
	}{
		"no key":        {"POST", pathEvents, []string{media}, 401, "WWW-Authenticate", "Bearer"},
		"unknown key":   {"POST", pathEvents, []string{media, auth + "pf_0"}, 401, "WWW-Authenticate", "Bearer"},
		"revoked key":   {"POST", pathEvents, []string{media, auth + a.revoked}, 401, "WWW-Authenticate", "Bearer"},
		"two keys":      {"POST", pathEvents, []string{media, auth + a.key, auth + a.key}, 401, "WWW-Authenticate", "Bearer"},
		"basic":         {"POST", pathEvents, []string{media, "Authorization: Basic " + a.key}, 401, "WWW-Authenticate", "Bearer"},
		"key as query":  {"POST", pathEvents + "?key=" + a.key, []string{media}, 401, "WWW-Authenticate", "Bearer"},
		"unknown path":  {"POST", pathSourceLog + "/pf_0", []string{"Content-Type: text/plain"}, 401, "WWW-Authenticate", "Bearer"},
		"reader":        {"POST", pathEvents, []string{media, auth + a.reader}, 403, "", ""},
		"no type":       {"POST", pathEvents, []string{auth + a.key}, 415, "Accept-Post", mediaNDJSON},
		"JSON":          {"POST", pathEvents, []string{auth + a.key, "Content-Type: application/json"}, 415, "Accept-Post", mediaBatch},
		"charset":       {"POST", pathEvents, []string{auth + a.key, media + "; charset=latin1"}, 415, "Accept-Post", mediaNDJSON},
		"two types":     {"POST", pathEvents, []string{auth + a.key, media, media}, 415, "Accept-Post", mediaNDJSON},
		"form":          {"POST", pathSourceLog, []string{auth + a.key, "Content-Type: application/x-www-form-urlencoded"}, 415, "Accept-Post", mediaText},
		"events as log": {"POST", pathSourceLog, []string{auth + a.key, media}, 415, "Accept-Post", mediaText},
		"GET":           {"GET", pathEvents, []string{auth + a.key}, 405, "Allow", "POST"},
		"PUT":           {"PUT", pathSourceLog + "/x", nil, 405, "Allow", "POST"},
		"POST document": {"POST", pathOpenAPI, nil, 405, "Allow", "GET, HEAD"},
		"nothing":       {"GET", "/v2", nil, 404, "", ""},
		"deeper":        {"POST", pathEvents + "/x", nil, 404, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := a.do(request(c.method, c.path, unread{t}, c.headers...), "")
			v.refused(t, c.status, "")
			if c.header != "" && !strings.Contains(v.header.Get(c.header), c.says) {
				t.Errorf("%s is %q", c.header, v.header.Get(c.header))
			}
			if strings.Contains(v.Detail, a.revoked) {
				t.Error("the key is repeated")
			}
		})
	}
	big := request(http.MethodPost, pathEvents, unread{t}, media, auth+a.key)
	big.ContentLength = a.cfg.MaxBody + 1
	v := a.do(big, "")
	v.refused(t, http.StatusRequestEntityTooLarge, "")
	if len(a.node.batches) > 0 {
		t.Error("the node was given something")
	}
}

// wrote is a writer that tells of the first word of an answer.
type wrote struct {
	http.ResponseWriter
	anything chan struct{}
}

func (w wrote) WriteHeader(status int) {
	close(w.anything)
	w.ResponseWriter.WriteHeader(status)
}

// Nobody is told anything before Accept has returned.
func TestAnswerComesAfterAccept(t *testing.T) {
	a := newAPI(t, Config{})
	a.node.entered, a.node.wait = make(chan struct{}), make(chan struct{})
	w := wrote{httptest.NewRecorder(), make(chan struct{})}
	r := request(http.MethodPost, pathEvents, strings.NewReader(kill), "Content-Type: "+mediaNDJSON, "Authorization: Bearer "+a.key)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.mux.ServeHTTP(w, r)
	}()
	<-a.node.entered
	select {
	case <-w.anything:
		t.Error("it is answered before its events are on disk")
	default:
	}
	close(a.node.wait)
	<-w.anything
	<-done
}

// When the node cannot store, nothing is promised; when the keys are not known yet,
// nobody is told that theirs is wrong. Both are to come again.
func TestUnavailable(t *testing.T) {
	a := newAPI(t, Config{})
	a.node.err = errDisk
	for range 3 {
		v := a.push(kill)
		v.refused(t, http.StatusServiceUnavailable, "same ids")
		if v.header.Get("Retry-After") != "5" || strings.Contains(v.Detail, errDisk.Error()) {
			t.Errorf("Retry-After is %q: %s", v.header.Get("Retry-After"), v.Detail)
		}
	}
	if n := strings.Count(a.said.String(), errDisk.Error()); n != 1 {
		t.Errorf("the cause is logged %d times: %s", n, a.said.String())
	}
	a.node.err = nil
	v := a.push(kill)
	v.want(t, http.StatusOK, 1, 0, 0)
	a.loading = true
	v = a.push(kill)
	v.refused(t, http.StatusServiceUnavailable, "keys are not loaded")
	if a.refused[RefusedStore] != 4 {
		t.Errorf("counted %v", a.refused)
	}
}

// The events keep nothing of the body, which may be used again.
func TestEventsOutliveTheBody(t *testing.T) {
	text := []byte(kill + "\n" + purchase)
	d, err := decode(mediaNDJSON, text, "eu-1")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(d.events)
	for i := range text {
		text[i] = 'x'
	}
	if got := fmt.Sprint(d.events); got != want {
		t.Errorf("they were %s and are %s", want, got)
	}
}

// Every line that is accepted is an Event of the document.
func TestAcceptedEventsAreDescribed(t *testing.T) {
	doc := loaded(t)
	for _, line := range []string{kill, purchase, beat} {
		if err := doc.Components.Schemas["Event"].Value.VisitJSON(parsed(t, line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if err := doc.Components.Schemas["Event"].Value.VisitJSON(parsed(t, `{"id":"a","type":"kill","at":"2026-11-21T11:59:00Z","colour":"red"}`)); err == nil {
		t.Error("the document allows a field that is not known")
	}
}

// The path of a source log is logged without its key.
func TestLogPath(t *testing.T) {
	for path, want := range map[string]string{
		pathSourceLog + "/pf_secret": pathSourceKey, pathSourceLog + "/pf_secret/x": pathSourceKey, pathEvents: pathEvents,
	} {
		if got := LogPath(httptest.NewRequest(http.MethodPost, path, nil)); got != want {
			t.Errorf("%s is logged as %s", path, got)
		}
	}
}

// A configuration that cannot work is refused with its value.
func TestConfig(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Now: noonClock, MaxBody: -1},
		{Now: noonClock, MaxBody: 2 << 30},
		{Now: noonClock, Rate: -1},
		{Now: noonClock, KeyBodies: -1},
		{Now: noonClock, InFlight: 1},
		{Now: noonClock, Rate: 1e9},
	} {
		if _, err := New(nil, nil, nil, cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

var _ Keys = (*keys.Store)(nil)
