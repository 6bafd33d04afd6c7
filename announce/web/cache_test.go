package web_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"photofinish/announce"
	"photofinish/announce/web"
)

// Other spellings of one request are refused or have its answer: none reads the ledger again.
func TestSpellingsReadNothing(t *testing.T) {
	s := open(t, &books{last: 30})
	first := s.get("/v1/reports/1")
	s.get("/v1/reports?page_size=50")
	s.get("/v1/awards")
	loads := s.books.loads
	for path, want := range map[string]int{
		"/v1/reports/1": 200, "/v1/reports/01": 404, "/v1/reports/0000001": 404, "/v1/reports/+1": 404, "/v1/reports/%2B1": 404, "/reports/01": 404,
		"/v1/reports/1?": 200, "/v1/reports/1?&": 200, "/v1/reports/%31": 200,
		"/v1/reports?page_size=050": 400, "/v1/reports?page_size=%2B50": 400, "/v1/reports?page_size=+50": 400,
		"/v1/reports?page_size=51": 200, "/v1/reports?page_size=99999": 200, "/v1/reports?page_size=7": 200, "/v1/reports?page_token=": 200,
		"/v1/awards?page_size=05": 400, "/v1/awards?rule=&subject=": 200, "/v1/awards?subject=nobody": 200,
		"/v1/leaderboards/daily?top=05": 400, "/v1/leaderboards/daily?window=2000-01-01T00:00:00.000Z": 200,
		"/v1/reports/32": 404, "/v1/reports/18446744073709551615": 404,
	} {
		if w := s.get(path); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if s.books.loads != loads {
			t.Errorf("%s: a reading of the ledger", path)
			loads = s.books.loads
		}
	}
	if w := s.get("/v1/reports/1"); w.Body.String() != first.Body.String() {
		t.Errorf("the report became %s", w.Body)
	}
}

// A page token in another spelling than the list's own is refused without a reading; one that
// the list could have given is answered from what was read.
func TestTokensReadNothing(t *testing.T) {
	s := open(t, &books{last: 30})
	tokens := map[string]string{}
	for _, list := range []string{"/v1/reports", "/v1/awards", "/v1/leaderboards/daily"} {
		var page struct {
			Next string `json:"next_page_token"`
		}
		if err := json.Unmarshal(s.get(list+"?page_size=1").Body.Bytes(), &page); err != nil || page.Next == "" {
			t.Fatalf("%s: no token: %v", list, err)
		}
		tokens[list] = page.Next
	}
	s.get("/v1/reports?page_size=50")
	loads := s.books.loads
	for list, token := range tokens {
		body, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		other := func(old, another string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), old, another, 1)))
		}
		forged := []string{token + "%0A", other("{", " {"), other(`"a":`, `"A":`), other(`"a":`, `"x":1,"a":`), other("}", "} "), other(`"a":`, `"a":null,"a":`)}
		switch list {
		case "/v1/reports":
			forged = append(forged, other(":29", ":29.0"), other(":29", ":0"), other(":29", ":31"), other(":29", ":null"), other(":29", ":-1"))
		case "/v1/awards":
			forged = append(forged, other(`"Place"`, `"place"`), other(`"Subject":"p1"`, `"Subject":"\u0070\u0031"`), other(`"Place":1`, `"Place":1,"More":2`))
		}
		for _, f := range forged {
			if f == token {
				t.Fatalf("%s is not another token", f)
			}
			if w := s.get(list + "?page_token=" + f); w.Code != 400 {
				t.Errorf("%s with %s: %d %s", list, f, w.Code, w.Body)
			}
		}
	}
	for begin := 1; begin < 30; begin++ {
		body, _ := base64.RawURLEncoding.DecodeString(tokens["/v1/reports"])
		token := base64.RawURLEncoding.EncodeToString(bytes.Replace(body, []byte(":29"), fmt.Appendf(nil, ":%d", begin), 1))
		if w := s.get(fmt.Sprintf("/v1/reports?page_size=%d&page_token=%s", begin, token)); w.Code != 200 {
			t.Errorf("from %d on: %d %s", begin, w.Code, w.Body)
		}
	}
	if s.books.loads != loads {
		t.Errorf("%d readings of the ledger", s.books.loads-loads)
	}
}

// A list has the same settlements, to the byte, whether they were asked for before or not, and
// reads only those that were not.
func TestListsOfSettlements(t *testing.T) {
	b := &books{last: 9}
	var all struct {
		Reports []announce.Report `json:"reports"`
		Next    string            `json:"next_page_token"`
	}
	for n := uint64(9); n > 0; n-- {
		all.Reports = append(all.Reports, b.report(n, n))
	}
	var want bytes.Buffer
	if err := announce.WriteValueJSON(&want, all); err != nil {
		t.Fatal(err)
	}
	for _, before := range [][]string{nil, {"5"}, {"1", "9"}, {"1", "2", "3", "4", "5", "6", "7", "8", "9"}} {
		s := open(t, &books{last: 9})
		for _, cut := range before {
			s.get("/v1/reports/"+cut, "Authorization", "Bearer pf_operator")
		}
		if w := s.get("/v1/reports?page_size=50", "Authorization", "Bearer pf_operator"); w.Body.String() != want.String() {
			t.Errorf("after %v, %d: %s", before, w.Code, w.Body)
		}
		if most := min(len(before)+1, 9); s.books.loads != most {
			t.Errorf("after %v: %d readings, not %d", before, s.books.loads, most)
		}
	}
}

// Many who ask for the same at once share one reading, also when who came first goes away.
func TestOneReadingForAll(t *testing.T) {
	for _, path := range []string{"/", "/v1/awards", "/reports/2", "/v1/reports"} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, &books{last: 3, gate: make(chan struct{})})
			leaves, leave := context.WithCancel(t.Context())
			var all sync.WaitGroup
			codes := make([]int, 9)
			for i := range codes {
				ctx := t.Context()
				if i == 0 {
					ctx = leaves
				}
				all.Go(func() {
					w := httptest.NewRecorder()
					s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody).WithContext(ctx))
					codes[i] = w.Code
				})
				synctest.Wait()
			}
			leave()
			synctest.Wait()
			close(s.books.gate)
			all.Wait()
			for i, code := range codes[1:] {
				if code != 200 {
					t.Errorf("%s: number %d got %d", path, i+1, code)
				}
			}
			if s.books.loads != 1 {
				t.Errorf("%s: %d readings", path, s.books.loads)
			}
		})
	}
}

// Where settlements come faster than they can be read, who waits is answered by the next
// reading, which has the newest: there is none for each cut that came meanwhile.
func TestReadingsDoNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &books{last: 3, gate: make(chan struct{})})
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if w := s.get("/", "Accept", "application/json"); w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
			synctest.Wait()
			s.books.last++
			s.now = s.now.Add(time.Second)
		}
		close(s.books.gate)
		all.Wait()
		if s.books.loads != 2 {
			t.Errorf("five who came one cut after the other cost %d readings", s.books.loads)
		}
	})
}

// What stands has 1000 awards of a rule and says how many more there are and where; the list
// has them all, each once, and a settlement's own report too.
func TestManyAwards(t *testing.T) {
	s := open(t, &books{last: 3, more: 2345})
	var all struct {
		Awards  []struct{ Rule, Subject string }
		Omitted []struct {
			Rule  string
			Count int
		} `json:"awards_omitted"`
	}
	if err := json.Unmarshal(s.get("/", "Accept", "application/json").Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Awards) != 1005 || fmt.Sprint(all.Omitted) != "[{one rabbit 1345}]" {
		t.Errorf("%d awards, and left out are %v", len(all.Awards), all.Omitted)
	}
	if page := s.get("/").Body.String(); !strings.Contains(page, `1,345 more awards of <bdi>one rabbit</bdi> stand: <a href="/v1/awards?rule=one&#43;rabbit">`) {
		t.Errorf("the page does not lead to the list:\n%.3000s", page)
	}
	seen, token := map[string]bool{}, ""
	for range 4 {
		var part struct {
			Awards []struct{ Subject string }
			Next   string `json:"next_page_token"`
		}
		if err := json.Unmarshal(s.get("/v1/awards?rule=one+rabbit&page_size=800"+token).Body.Bytes(), &part); err != nil {
			t.Fatal(err)
		}
		for _, a := range part.Awards {
			if seen[a.Subject] {
				t.Errorf("%s is listed twice", a.Subject)
			}
			seen[a.Subject] = true
		}
		if token = "&page_token=" + part.Next; part.Next == "" {
			break
		}
	}
	if len(seen) != 2345 || s.books.loads != 1 {
		t.Errorf("%d awards are listed, from %d readings", len(seen), s.books.loads)
	}
	if w := s.get("/v1/reports/2"); strings.Count(w.Body.String(), `"one rabbit"`) != 2345 {
		t.Error("the report of a settlement is not whole")
	}
}

// What was not asked for the longest goes first, the latest stays however large it is, and
// without a bound all stay.
func TestShelf(t *testing.T) {
	for _, test := range []struct {
		most    int
		lengths []int
		want    string
	}{
		{3000, []int{1000, 1000, 1000}, "[0 1 2]"},
		{3000, []int{1000, 1000, 1000, 1000}, "[0 2 3]"},
		{3000, []int{1000, 1000, 1000, 2000}, "[0 3]"},
		{3000, []int{1000, 1000, 9000}, "[2]"},
		{3000, []int{9000, 1000}, "[1]"},
		{0, []int{9000, 9000, 9000}, "[0 1 2]"},
	} {
		if got := fmt.Sprint(web.KeptOf(test.most, test.lengths...)); got != test.want {
			t.Errorf("of %v, %d bytes hold %s, not %s", test.lengths, test.most, got, test.want)
		}
	}
}
