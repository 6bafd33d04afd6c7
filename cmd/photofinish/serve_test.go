package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"photofinish/announce/web"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/httpapi/openapitest"
	"photofinish/ingest/keys"
)

// program is photofinish as a process of its own.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	public string // where it listens; "": it does not
	admin  string

	mu    sync.Mutex
	said  strings.Builder
	lines chan struct{} // tells of a further line; closed at its end
}

var listens = regexp.MustCompile(`listens (?:on (\S+), )?for operators on (\S+)`)

// start starts a role and returns once it listens.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.Command(self, append(args, "--log-level", "info", "--serve.admin_listen", "127.0.0.1:0")...), lines: make(chan struct{}, 1)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended where the test has not failed
		_ = p.cmd.Wait()
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("%s says:\n%s", args[0], p.said.String())
		}
	})
	go func() {
		defer close(p.lines)
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			p.mu.Lock()
			p.said.WriteString(scanner.Text() + "\n")
			p.mu.Unlock()
			select {
			case p.lines <- struct{}{}:
			default:
			}
		}
	}()
	addresses := listens.FindStringSubmatch(p.says(listens))
	p.public, p.admin = addresses[1], addresses[2]
	return p
}

// says waits until the program has said something that matches, and returns it.
func (p *program) says(want *regexp.Regexp) string {
	p.t.Helper()
	limit := time.After(time.Minute)
	for {
		p.mu.Lock()
		found := want.FindString(p.said.String())
		p.mu.Unlock()
		if found != "" {
			return found
		}
		select {
		case _, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("it ended and did not say %s", want)
			}
		case <-limit:
			p.t.Fatalf("it did not say %s", want)
		}
	}
}

// get reads a path.
func get(t *testing.T, address string) (int, string) {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	conforms(t, answer, body)
	return answer.StatusCode, string(body)
}

// conforms holds an answer to the document of the process that gave it.
func conforms(t *testing.T, answer *http.Response, body []byte) {
	t.Helper()
	r := answer.Request
	document, err := http.Get((&url.URL{Scheme: "http", Host: r.URL.Host, Path: "/openapi.json"}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer document.Body.Close()
	text, err := io.ReadAll(document.Body)
	if err != nil || document.StatusCode != http.StatusOK { // the operators' listener has none
		return
	}
	openapitest.Load(t, text).Conforms(t, r, answer.StatusCode, answer.Header, body)
}

// eventually asks until the answer is right: what another process does has no signal.
func eventually(t *testing.T, what string, right func() bool) {
	t.Helper()
	limit := time.Now().Add(time.Minute)
	for !right() {
		if time.Now().After(limit) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stop sends SIGTERM and wants the exit code 0.
func (p *program) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	for range p.lines { // until it has said all
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
}

// push sends events with a key, until the node knows it.
func (p *program) push(key, events string) {
	p.t.Helper()
	eventually(p.t, "the events are taken in", func() bool {
		r, err := http.NewRequest(http.MethodPost, p.public+"/v1/events", strings.NewReader(events))
		if err != nil {
			p.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-ndjson")
		r.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			p.t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusOK {
			return false
		}
		if !strings.Contains(string(body), `"rejected":[]`) {
			p.t.Fatalf("the answer is %s", body)
		}
		return true
	})
}

// kills returns events of a player, a second apart, of which the last happened then.
func kills(player string, n int, last time.Time) string {
	var b strings.Builder
	for i := range n {
		at := last.Add(time.Duration(i-n+1) * time.Second).UTC().Format(time.RFC3339Nano)
		fmt.Fprintf(&b, `{"id":"%s-%d","type":"kill","at":"%s","player":"%s","target":"rabbit"}`+"\n", player, i, at, player)
	}
	return b.String()
}

const twoRules = `version: 1
rules:
  - {id: first-three, kind: world_first, when: {type: kill}, threshold: 3, hold: 0s, prize: {item: carrot}}
  - {id: three, kind: achievement, when: {type: kill}, threshold: 3}
`

// The life of a studio's one process: it takes events in by HTTP and decides them by itself;
// is asked, reloaded and stopped; takes events in while ClickHouse is down; and after the
// next start decides those too.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	data, rulesFile, config := filepath.Join(dir, "data"), filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "config.yaml")
	writeFile := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write := func(text string) { writeFile(rulesFile, text) }
	write(twoRules)
	writeFile(config, "{}\n")
	args := []string{
		"serve", "--data", data, "--config", config, "--settle.rules", rulesFile, "--listen", "127.0.0.1:0",
		"--settle.schedule", "@every 1s", "--settle.period", "10s", "--settle.delay", "0s",
	}
	p := start(t, args...)
	var key struct{ Key string }
	if err := json.Unmarshal([]byte(must(t, "keys", "create", "--data", data, "--server", "eu-1", "--region", "eu", "--json")), &key); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Truncate(10 * time.Second).Add(-time.Second) // of a period that is over
	p.push(key.Key, kills("ana", 3, past)+kills("bo", 2, past))
	var numbered strings.Builder
	for _, seq := range []int{1039, 1040, 1041, 1043} {
		fmt.Fprintf(&numbered, `{"id":"n%d","seq":%d,"type":"jump","at":"%s"}`+"\n", seq, seq, past.UTC().Format(time.RFC3339Nano))
	}
	p.push(key.Key, numbered.String())
	awards := func(p *program) string {
		_, body := get(t, p.public+"/v1/awards?subject=ana")
		return body
	}
	eventually(t, "both awards are there", func() bool { return strings.Count(awards(p), `"subject": "ana"`) == 2 })
	if body := awards(p); !strings.Contains(body, `"prize": "carrot"`) || strings.Contains(body, `"bo"`) {
		t.Errorf("the awards are %s", body)
	}
	for path, want := range map[string]string{
		p.public + "/": "ana", p.public + "/v1/reports/1": `"rule": "first-three"`, p.public + "/openapi.json": `"openapi"`,
		p.public + "/readyz": `"ready":true`, p.public + "/healthz": `{"name":"settle","status":"ok"}`, p.admin + "/healthz": "last run ended at",
		p.admin + "/metrics": `photofinish_ingest_events_total{result="accepted"} 9`,
	} {
		if code, body := get(t, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, without %s: %s", path, code, want, body)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/nowhere"} {
		if code, _ := get(t, p.public+path); code != 404 {
			t.Errorf("in public, %s: %d", path, code)
		}
	}

	write("version: 1\nrules: [{id: broken}]\n")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.says(regexp.MustCompile(`configuration not reloaded: the old one stays.*broken`))
	writeFile(config, "ingest: {rate: 0}\n") // of what only a restart takes over, too
	write(twoRules)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.says(regexp.MustCompile(`configuration not reloaded: the old one stays.*ingest.rate is 0`))
	if _, body := get(t, p.admin+"/healthz"); !strings.Contains(body, "not reloaded, the old one stays: ingest.rate is 0") {
		t.Errorf("after a reload that was refused: %s", body)
	}
	writeFile(config, "{}\n")
	write(twoRules + "  - {id: two, kind: achievement, when: {type: kill}, threshold: 2}\n")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.says(regexp.MustCompile(`msg="configuration reloaded"`))
	if _, body := get(t, p.admin+"/healthz"); strings.Contains(body, "not reloaded") {
		t.Errorf("after a reload that was taken over: %s", body)
	}
	p.stop()

	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := nobody.Addr().String()
	nobody.Close()
	p = start(t, append(args, "--clickhouse.addrs", addr)...)
	p.push(key.Key, kills("cy", 3, past))
	if code, body := get(t, p.public+"/readyz"); code != 200 {
		t.Errorf("without ClickHouse, ready: %d %s", code, body)
	}
	eventually(t, "ClickHouse is told to be away", func() bool {
		_, body := get(t, p.public+"/healthz")
		return strings.Contains(body, `{"name":"clickhouse","status":"failing"}`)
	})
	if code, _ := get(t, p.public+"/v1/awards"); code != 503 {
		t.Errorf("without ClickHouse, awards: %d", code)
	}
	p.stop()
	fresh := []string{"ingest", "--data", filepath.Join(dir, "fresh"), "--listen", "127.0.0.1:0", "--clickhouse.addrs", addr}
	p = start(t, fresh...) // it knows no key, and could not learn of one
	if code, body := get(t, p.admin+"/readyz"); code != 503 || !strings.Contains(body, "keys are not loaded") {
		t.Errorf("without keys, ready: %d %s", code, body)
	}
	p.stop()

	p = start(t, args...)
	eventually(t, "the new rule is decided for all three", func() bool {
		_, body := get(t, p.public+"/v1/awards?rule=two")
		return strings.Count(body, `"subject"`) >= 3
	})
	p.stop()
	if out := must(t, "report", "--data", data, "--latest"); !strings.Contains(out, "eu-1 lacks 1042, since") {
		t.Errorf("the report does not name the missing number: %s", out)
	}
	if out := must(t, "verify", "--data", data); !strings.Contains(out, "no difference") {
		t.Errorf("verify says %s", out)
	}
}

// What is wrong with the configuration is said before anything is begun.
func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	none := []string{"--listen", "127.0.0.1:0", "--serve.admin_listen", "127.0.0.1:0"}
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"port taken", []string{"serve", "--serve.admin_listen", "127.0.0.1:0", "--listen", taken.Addr().String()}, exitFailed, "is taken"},
		{"operators' port taken", []string{"serve", "--listen", "127.0.0.1:0", "--serve.admin_listen", taken.Addr().String()}, exitFailed, "--serve.admin_listen"},
		{"no address", []string{"serve", "--serve.admin_listen", "127.0.0.1:0", "--listen", "nonsense"}, exitUsage, "serve.listen is \"nonsense\": give host:port"},
		{"one address twice", []string{"serve", "--serve.admin_listen", taken.Addr().String(), "--listen", taken.Addr().String()}, exitUsage, "are both"},
		{"missing rules", append([]string{"serve", "--rules", "nowhere.yaml"}, none...), exitUsage, "nowhere.yaml"},
		{"schedule", append([]string{"serve", "--settle.schedule", "hourly"}, none...), exitUsage, `settle.schedule: the schedule "hourly"`},
		{"period", append([]string{"serve", "--settle.period", "9s"}, none...), exitUsage, "settle.period"},
		{"no silence", append([]string{"ingest", "--ingest.silent_after", "0s"}, none...), exitUsage, "ingest.silent_after is 0s"},
		{"duration", append([]string{"serve", "--settle.delay", "soon"}, none...), exitUsage, "soon"},
		{"size", append([]string{"ingest", "--ingest.max_body", "lots"}, none...), exitUsage, "lots"},
		{"body too large", append([]string{"ingest", "--ingest.max_body", "3GiB"}, none...), exitUsage, "ingest.max_body is 3GiB"},
		{"no body", append([]string{"ingest", "--ingest.max_body", "0"}, none...), exitUsage, "ingest.max_body is 0"},
		{"rate", append([]string{"ingest", "--ingest.rate", "-1"}, none...), exitUsage, "ingest.rate is -1"},
		{"quota", append([]string{"ingest", "--ingest.spool_quota", "1MiB"}, none...), exitUsage, "ingest.spool_quota is 1MiB: give at least 256MiB"},
		{"node", append([]string{"ingest", "--serve.node", "../x"}, none...), exitUsage, "../x"},
		{"loop at", []string{"settle", "--loop", "--at", "2026-11-21T08:02:00Z"}, exitUsage, "--loop"},
		{"rules of announce", []string{"announce", "--rules", "x.yaml"}, exitUsage, "unknown flag: --rules"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := filepath.Join(dir, strings.ReplaceAll(test.name, " ", "-"))
			_, problems, code := photofinish(t, append(test.args, "--data", data)...)
			if code != test.code || !strings.Contains(problems, test.want) || strings.Count(problems, "\n") != 1 {
				t.Errorf("exit code %d, want %d and one line with %q; it says %q", code, test.code, test.want, problems)
			}
		})
	}
}

// An option of serve is a flag, a variable and a key of the file, also by its short form.
func TestServeConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := `
serve: {listen: from-file}
settle: {period: 2h, delay: 30s}
ingest: {spool_retention: 3d, max_body: 1MiB, rate: 7.5}
log: {level: debug}
clickhouse: {addrs: [a:9000, b:9000]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PHOTOFINISH_SETTLE_DELAY", "40s")
	read := func(args ...string) *app {
		t.Helper()
		var out bytes.Buffer
		a, root := newApp(&out, &out)
		cmd, rest, err := root.Find(append([]string{"serve", "--config", file}, args...))
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Fatal(err)
		}
		if err := a.configure(cmd); err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := read()
	o := a.options
	if o.listen != "from-file" || o.period != 2*time.Hour || o.delay != 40*time.Second || o.retention != 72*time.Hour ||
		o.maxBody != 1<<20 || o.rate != 7.5 || a.logLevel != "debug" || strings.Join(a.clickhouseAddrs, " ") != "a:9000 b:9000" {
		t.Errorf("the options are %+v, log level %s, addresses %v", o, a.logLevel, a.clickhouseAddrs)
	}
	for _, args := range [][]string{
		{"--listen", "x", "--rules", "y", "--log-level", "info"}, {"--serve.listen", "x", "--settle.rules", "y", "--log.level", "info"},
	} {
		a := read(args...)
		if a.options.listen != "x" || a.options.rules != "y" || a.logLevel != "info" {
			t.Errorf("%v: the options are %+v, log level %s", args, a.options, a.logLevel)
		}
	}
}

// Durations and sizes are written as they are read.
func TestUnits(t *testing.T) {
	for text, want := range map[string]string{"7d": "7d", "168h": "7d", "24h": "24h", "90s": "1m30s", "15m": "15m", "1h30m": "1h30m", "50ms": "50ms", "0s": "0s"} {
		var d durationValue
		if err := d.Set(text); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, d.String(), err, want)
		}
	}
	for text, want := range map[string]string{"8388608": "8MiB", "8MiB": "8MiB", "1000": "1000", "20GiB": "20GiB", "0": "0"} {
		var s sizeValue
		if err := s.Set(text); err != nil || s.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, s.String(), err, want)
		}
	}
	for _, wrong := range []string{"", "d", "-1d", "1.5d", "-2s", "99999999d"} {
		var d durationValue
		if d.Set(wrong) == nil {
			t.Errorf("the duration %q is taken", wrong)
		}
	}
	for _, wrong := range []string{"", "MiB", "-1", "8MB", "9999999999999999999", "9000000TiB"} {
		var s sizeValue
		if s.Set(wrong) == nil {
			t.Errorf("the size %q is taken", wrong)
		}
	}
}

// nobody knows no key.
type nobody struct{}

func (nobody) Find(context.Context, string) (keys.Key, error) { return keys.Key{}, keys.ErrUnknown }

// Who reads with wrong keys is told to stay away, by address, and so is who pushes from there.
func TestWrongKeysOfReaders(t *testing.T) {
	wrong, now := httpapi.NewWrongKeys(), time.Unix(1e9, 0)
	may := access(nobody{}, wrong, func() time.Time { return now })
	from := func(address string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/v1/awards", http.NoBody)
		r.RemoteAddr = address
		return r
	}
	unknown, many := 0, new(web.TooManyError)
	for range 1000 {
		_, err := may(from("192.0.2.1:1"), "pf_wrong")
		if errors.Is(err, web.ErrUnknownKey) {
			unknown++
		} else if !errors.As(err, &many) || many.After <= 0 {
			t.Fatal(err)
		}
	}
	if unknown == 0 || unknown > 200 {
		t.Errorf("of 1000 wrong keys at once %d were not told to stay away", unknown)
	}
	if wrong.Count(from("192.0.2.1:2"), now) == 0 {
		t.Error("who pushes from there is not told to stay away")
	}
	if _, err := may(from("192.0.2.2:1"), "pf_wrong"); !errors.Is(err, web.ErrUnknownKey) {
		t.Errorf("from elsewhere: %v", err)
	}
}
