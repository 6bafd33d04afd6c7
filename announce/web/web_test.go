package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"photofinish/announce"
	"photofinish/announce/web"
	"photofinish/ingest/httpapi/openapitest"
	"photofinish/rules"
)

// books is a source in memory.
type books struct {
	mu    sync.Mutex // guards loads
	last  uint64
	err   error
	loads int
	asked int
	gate  chan struct{} // where it is there, Load waits for it
	more  int           // awards of an achievement
}

func (b *books) LastSettled(context.Context) (uint64, error) {
	b.asked++
	return b.last, b.err
}

// Load returns reports that hold what the tests look for. One cut alone and all that
// stands are told apart by their selections.
func (b *books) Load(ctx context.Context, sel announce.Selection) ([]announce.Report, error) {
	b.mu.Lock()
	b.loads++
	b.mu.Unlock()
	if b.gate != nil {
		select {
		case <-b.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	for n := uint64(1); n <= b.last; n++ {
		if sel == announce.One(n) {
			return []announce.Report{b.report(n, n)}, nil
		}
		for m := uint64(1); m <= n; m++ {
			if sel == announce.Each(m, n) && m < n {
				var all []announce.Report
				for i := m; i <= n; i++ {
					all = append(all, b.report(i, i))
				}
				return all, nil
			}
			if sel == announce.Each(n, n) {
				return []announce.Report{b.report(n, n)}, nil
			}
		}
	}
	if sel == announce.Standing() {
		return []announce.Report{b.report(1, b.last)}, nil
	}
	return nil, &announce.NotSettledError{Cut: 99, Last: b.last}
}

func day(n int64) rules.Window {
	const d = rules.Instant(24 * time.Hour)
	return rules.Window{Opens: rules.Instant(10957+n) * d, Closes: rules.Instant(10958+n) * d}
}

func (b *books) report(from, to uint64) announce.Report {
	r := announce.Empty()
	r.Cut = &announce.Cut{Number: to, From: from, Kind: rules.HourCut, Lagging: []announce.Lag{}, Refused: []rules.Tally{}, Behind: []rules.Tally{}}
	for i := range 5 {
		state := rules.Provisional
		if i%2 == 0 {
			state = rules.Final
		}
		r.Awards = append(r.Awards, announce.Award{
			Rule: "first", Scope: "world", Place: i + 1, Subject: fmt.Sprintf("p%d", i+1), State: state,
			Outcome: fmt.Sprintf("sha256:%064d", i), RunnersUp: []announce.RunnerUp{},
		})
	}
	for i := range b.more {
		r.Awards = append(r.Awards, announce.Award{
			Rule: "one rabbit", Scope: "world", Subject: fmt.Sprintf("m%05d", i), State: rules.Final,
			Outcome: fmt.Sprintf("sha256:%064d", 100+i), RunnersUp: []announce.RunnerUp{},
		})
	}
	for n := range int64(3) {
		board := announce.Leaderboard{Rule: "daily", Scope: "world", Window: day(n), State: rules.Final}
		for i := range 9 {
			board.Standings = append(board.Standings, announce.Line{Place: i + 1, Subject: fmt.Sprintf("p%d", i+1), Score: rules.Whole(int64(100 - i))})
		}
		r.Leaderboards = append(r.Leaderboards, board)
	}
	r.Rules = []string{"daily", "mount", "none-yet"} // the rule of the awards was dropped since
	r.Sales = []announce.Sale{{Rule: "mount", Scope: "world", Attempts: []announce.PurchaseAttempt{
		{Player: "Buyer Kim", State: rules.Reserved, Server: "eu-1", ID: "b1"}, {Player: "Denied Quorra", State: rules.SoldOut},
	}}}
	return r
}

type site struct {
	*http.ServeMux
	testing.TB
	books *books
	now   time.Time
}

func open(t testing.TB, b *books) *site {
	t.Helper()
	s := &site{ServeMux: http.NewServeMux(), TB: t, books: b, now: time.Unix(1e9, 0)}
	web.New(b, access, slog.New(slog.DiscardHandler), func() time.Time { return s.now }).Mount(s.ServeMux)
	s.HandleFunc("/", web.NotFound)
	return s
}

var errAway = errors.New("nobody can say")

// access knows the keys of an operator and of a server.
func access(_ *http.Request, key string) (whole bool, err error) {
	switch key {
	case "pf_operator":
		return true, nil
	case "pf_server":
		return false, nil
	case "pf_early":
		return false, errAway
	case "pf_again":
		return false, &web.TooManyError{After: 1500 * time.Millisecond}
	}
	return false, web.ErrUnknownKey
}

func (s *site) get(path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.do(r)
}

// document is openapi.json, checked once.
var document struct {
	sync.Once
	*openapitest.Document
}

// do answers a request, and holds it and the answer to openapi.json.
func (s *site) do(r *http.Request) *httptest.ResponseRecorder {
	s.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	document.Do(func() { document.Document = openapitest.Load(s, web.Document()) })
	document.Conforms(s, r, w.Code, w.Header(), w.Body.Bytes())
	return w
}

// The document has exactly the paths that are mounted, and of each the parameters that it
// takes.
func TestDocument(t *testing.T) {
	s := open(t, &books{last: 3})
	s.get("/")
	paths := document.Doc.Paths.Map()
	for path, item := range paths {
		address := strings.NewReplacer("{cut}", "2", "{rule}", "daily").Replace(path)
		var query []string
		for _, p := range item.Get.Parameters {
			if p.Value.In == "query" {
				query = append(query, p.Value.Name+"="+map[string]string{
					"page_size": "2", "top": "3", "state": "held", "window": "2000-01-01T00:00:00Z", "rule": "mount",
				}[p.Value.Name])
			}
		}
		if w := s.get(address + "?" + strings.Join(query, "&")); w.Code != 200 {
			t.Errorf("%s?%s: %d %s", address, strings.Join(query, "&"), w.Code, w.Body)
		}
	}
	for _, path := range []string{"/", "/reports/{cut}", "/v1/reports", "/v1/reports/{cut}", "/v1/awards", "/v1/leaderboards/{rule}"} {
		if paths[path] == nil {
			t.Errorf("%s is mounted and not in the document", path)
		}
	}
	if w := s.get("/v1/leaderboards"); w.Code != 404 {
		t.Errorf("a list of no rule: %d", w.Code)
	}
}

// Every report that the golden files have is what the document says of one: those of
// operators, and of corrections, held awards, sales and hostile names.
func TestReportsConform(t *testing.T) {
	d := openapitest.Load(t, web.Document())
	files, err := filepath.Glob("../testdata/*.json")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Reports []json.RawMessage }
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatal(err)
		}
		if list.Reports == nil {
			list.Reports = []json.RawMessage{body}
		}
		for i, report := range list.Reports {
			if err := d.Holds("Report", report); err != nil {
				t.Errorf("%s, report %d: %v", file, i+1, err)
			}
		}
	}
}

// Pages and JSON say the same in the public form, with the headers that keep a browser from
// doing anything else than showing them.
func TestPublicForm(t *testing.T) {
	s := open(t, &books{last: 3})
	for _, path := range []string{"/", "/reports/2", "/v1/reports", "/v1/reports/2"} {
		for _, accept := range []string{"text/html,*/*", "application/json"} {
			w := s.get(path, "Accept", accept)
			header := w.Header()
			if w.Code != 200 || header.Get("ETag") == "" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Vary") != "Accept, Authorization" {
				t.Fatalf("%s as %s: %d %v", path, accept, w.Code, header)
			}
			policy := header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("%s: policy %s", path, policy)
			}
			page := accept != "application/json" && !strings.HasPrefix(path, "/v1")
			if kind := header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") != page {
				t.Errorf("%s as %s is %s", path, accept, kind)
			}
			body := w.Body.String()
			if strings.Contains(body, "Kim") || strings.Contains(body, "Quorra") || !strings.Contains(body, "B. K.") {
				t.Errorf("%s as %s shows buyers:\n%s", path, accept, body)
			}
		}
	}
	if w := s.get("/v1/awards"); !strings.Contains(w.Body.String(), `"p1"`) {
		t.Errorf("awards: %s", w.Body)
	}
}

// An operator's key sees everything, whoever asked before; any other key what nobody's does;
// and a key that is not known is told so, instead of being given less than it asks for.
func TestOperatorsKey(t *testing.T) {
	for _, order := range [][]string{{"", "pf_operator"}, {"pf_operator", ""}, {"pf_server", "pf_operator"}, {"pf_operator", "pf_server"}} {
		s := open(t, &books{last: 3})
		for _, path := range []string{"/", "/reports/2", "/v1/reports", "/v1/reports/2"} {
			for _, key := range slices.Concat(order, order) {
				var headers []string
				if key != "" {
					headers = []string{"Authorization", "bearer " + key}
				}
				w := s.get(path, headers...)
				whole := key == "pf_operator"
				private := strings.Contains(w.Header().Get("Cache-Control"), "private")
				if w.Code != 200 || private != whole {
					t.Fatalf("%s with %q: %d %v", path, key, w.Code, w.Header())
				}
				for _, name := range []string{"Buyer Kim", "Denied Quorra"} {
					if strings.Contains(w.Body.String(), name) != whole {
						t.Errorf("%s with %q after %q, and %s:\n%s", path, key, order[0], name, w.Body)
					}
				}
			}
		}
	}
	s := open(t, &books{last: 3})
	w := s.get("/v1/reports", "Authorization", "Bearer pf_wrong")
	if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" || !strings.Contains(w.Body.String(), "not known") {
		t.Errorf("a wrong key: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := s.get("/v1/reports", "Authorization", "Bearer pf_early"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("while nobody can say: %d %v", w.Code, w.Header())
	}
	if w := s.get("/v1/awards", "Authorization", "Bearer pf_again"); w.Code != 429 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("too many wrong keys: %d %v", w.Code, w.Header())
	}
	if w := s.get("/", "Authorization", "Basic dXNlcjpwYXNz"); w.Code != 200 {
		t.Errorf("what a proxy asks for: %d", w.Code)
	}
}

// A client that has the answer is told that it is still so; after a further cut it is not.
func TestAnswersAreKept(t *testing.T) {
	s := open(t, &books{last: 3})
	first := s.get("/")
	tag := first.Header().Get("ETag")
	for range 10 {
		if w := s.get("/", "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
			t.Fatalf("the same again: %d", w.Code)
		}
	}
	if s.books.loads != 1 || s.books.asked != 1 {
		t.Errorf("eleven views cost %d loads and %d questions", s.books.loads, s.books.asked)
	}
	s.books.last = 4
	s.now = s.now.Add(time.Second)
	if w := s.get("/", "If-None-Match", tag); w.Code != 200 || s.books.loads != 2 {
		t.Errorf("after a cut: %d, %d loads", w.Code, s.books.loads)
	}
}

// While the store is away, what was read before is shown; what was not is 503, and comes
// when the store is back.
func TestStoreAway(t *testing.T) {
	s := open(t, &books{err: errors.New("connection refused")})
	if w := s.get("/v1/awards"); w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/problem+json" ||
		strings.Contains(w.Body.String(), "refused") {
		t.Errorf("before anything is known: %d %s", w.Code, w.Body)
	}
	s.books.err, s.books.last = nil, 3
	s.now = s.now.Add(time.Second)
	if w := s.get("/"); w.Code != 200 {
		t.Fatalf("when it is there: %d", w.Code)
	}
	s.books.err = errors.New("connection refused")
	s.now = s.now.Add(time.Hour)
	if w := s.get("/"); w.Code != 200 {
		t.Errorf("what was read: %d", w.Code)
	}
	if w := s.get("/v1/reports/1"); w.Code != 503 {
		t.Errorf("what was not: %d", w.Code)
	}
}

// Before anything is settled lists are empty and the page says so.
func TestNothingSettled(t *testing.T) {
	s := open(t, &books{})
	for path, want := range map[string]string{
		"/v1/awards": `"awards": []`, "/v1/reports": `"reports": []`, "/v1/leaderboards/daily": `"leaderboards": []`, "/": "Nothing is settled yet",
	} {
		if w := s.get(path, "Accept", "text/html"); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := s.get("/v1/reports/1"); w.Code != 404 {
		t.Errorf("the report of a cut: %d", w.Code)
	}
	if w := s.get("/", "Accept", "application/json"); !strings.Contains(w.Body.String(), `"cut": null`) {
		t.Errorf("JSON: %s", w.Body)
	}
}

// Filters choose awards, and pages follow each other without a gap or a repetition.
func TestAwards(t *testing.T) {
	s := open(t, &books{last: 3})
	list := func(path string) (subjects []string, next string) {
		t.Helper()
		w := s.get(path)
		var page struct {
			Awards []struct{ Subject string }
			Next   *string `json:"next_page_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 || page.Next == nil {
			t.Fatalf("%s: %d %v %s", path, w.Code, err, w.Body)
		}
		for _, a := range page.Awards {
			subjects = append(subjects, a.Subject)
		}
		return subjects, *page.Next
	}
	for path, want := range map[string]string{
		"/v1/awards": "p1 p2 p3 p4 p5", "/v1/awards?state=final": "p1 p3 p5", "/v1/awards?subject=p2": "p2",
		"/v1/awards?rule=first&state=provisional": "p2 p4", "/v1/awards?rule=none-yet": "", "/v1/awards?rule=mount": "",
	} {
		if got, next := list(path); strings.Join(got, " ") != want || next != "" {
			t.Errorf("%s: %v %q", path, got, next)
		}
	}
	var all []string
	path := "/v1/awards?page_size=2"
	for range 3 {
		got, next := list(path)
		all = append(all, got...)
		path = "/v1/awards?page_size=2&page_token=" + next
		if next == "" {
			break
		}
	}
	if strings.Join(all, " ") != "p1 p2 p3 p4 p5" {
		t.Errorf("in pages: %v", all)
	}
}

// Boards of a rule by window, from the top or around a subject.
func TestLeaderboards(t *testing.T) {
	s := open(t, &books{last: 3})
	for _, test := range []struct {
		query string
		want  string // of each board its lines
	}{
		{"?top=2", "p1 p2|p1 p2|p1 p2"},
		{"?top=2&window=2000-01-02T23:59:59Z", "p1 p2"},
		{"?top=2&window=2000-02-01T00:00:00Z", ""},
		{"?top=3&around=p5&window=2000-01-01T00:00:00Z", "p4 p5 p6"},
		{"?top=3&around=p1&window=2000-01-01T00:00:00Z", "p1 p2 p3"},
		{"?top=3&around=p9&window=2000-01-01T00:00:00Z", "p7 p8 p9"},
		{"?around=nobody", ""},
		{"?top=1&page_size=2", "p1|p1"},
	} {
		w := s.get("/v1/leaderboards/daily" + test.query)
		var page struct {
			Leaderboards []struct{ Standings []struct{ Subject string } }
			Next         string `json:"next_page_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %v", test.query, w.Code, err)
		}
		var boards []string
		for _, b := range page.Leaderboards {
			var lines []string
			for _, l := range b.Standings {
				lines = append(lines, l.Subject)
			}
			boards = append(boards, strings.Join(lines, " "))
		}
		if got := strings.Join(boards, "|"); got != test.want || (page.Next != "") != strings.Contains(test.query, "page_size") {
			t.Errorf("%s: %s, next %q", test.query, got, page.Next)
		}
	}
}

// A rule that there is not is told apart from one of which nothing is decided yet, by name.
// Where no rules can be read, as before anything is settled, none is called unknown.
func TestUnknownRule(t *testing.T) {
	s := open(t, &books{last: 3})
	for path, want := range map[string]int{
		"/v1/awards?rule=first": 200, "/v1/awards?rule=none-yet": 200, "/v1/awards?rule=": 200, "/v1/awards?rule=nope": 404, "/v1/awards?rule=nope&state=held": 404,
		"/v1/leaderboards/daily": 200, "/v1/leaderboards/none-yet": 200, "/v1/leaderboards/nope": 404,
		"/v1/leaderboards/nope?top=3&window=2000-01-01T00:00:00Z": 404,
	} {
		w := s.get(path)
		var problem struct {
			Title, Detail string
			Status        int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if want == 404 && (problem.Status != 404 || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(problem.Detail, `"nope"`)) {
			t.Errorf("%s: %v %s", path, w.Header(), w.Body)
		}
	}
	s = open(t, &books{})
	for _, path := range []string{"/v1/awards?rule=nope", "/v1/leaderboards/nope"} {
		if w := s.get(path); w.Code != 200 {
			t.Errorf("before anything is settled, %s: %d %s", path, w.Code, w.Body)
		}
	}
}

// Reports come with the newest first, page by page.
func TestReports(t *testing.T) {
	s := open(t, &books{last: 5})
	var numbers []uint64
	path := "/v1/reports?page_size=2"
	for {
		var page struct {
			Reports []struct{ Cut struct{ Number uint64 } }
			Next    string `json:"next_page_token"`
		}
		w := s.get(path)
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %v", path, w.Code, err)
		}
		for _, r := range page.Reports {
			numbers = append(numbers, r.Cut.Number)
		}
		if page.Next == "" {
			break
		}
		path = "/v1/reports?page_size=2&page_token=" + page.Next
	}
	if fmt.Sprint(numbers) != "[5 4 3 2 1]" {
		t.Errorf("the reports are %v", numbers)
	}
}

// What cannot be answered is a problem that says why, and repeats nothing that was sent
// unquoted.
func TestProblems(t *testing.T) {
	s := open(t, &books{last: 3})
	next := s.get("/v1/awards?page_size=1")
	var page struct {
		Next string `json:"next_page_token"`
	}
	if err := json.Unmarshal(next.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/v1/awards?page_size=0", 400},
		{"GET", "/v1/awards?page_size=many", 400},
		{"GET", "/v1/awards?page_token=%21", 400},
		{"GET", "/v1/awards?page_token=bm9uZQ", 400},
		{"GET", "/v1/awards?rule=daily&page_token=" + page.Next, 400},
		{"GET", "/v1/awards?rule=a&rule=b", 400},
		{"GET", "/v1/awards?colour=red", 400},
		{"GET", "/v1/awards?%zz", 400},
		{"GET", "/v1/awards?state=lost", 400},
		{"GET", "/v1/leaderboards/daily?window=today", 400},
		{"GET", "/v1/reports/0", 404},
		{"GET", "/v1/reports/9", 404},
		{"GET", "/v1/reports/%3Cb%3E", 404},
		{"POST", "/v1/awards", 405},
		{"DELETE", "/", 405},
	} {
		w := s.do(httptest.NewRequest(test.method, test.path, http.NoBody))
		var problem struct {
			Title, Detail string
			Status        int
		}
		err := json.Unmarshal(w.Body.Bytes(), &problem)
		if err != nil || w.Code != test.code || problem.Status != test.code || problem.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s", test.method, test.path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%s: %s", test.path, w.Body)
		}
	}
}
