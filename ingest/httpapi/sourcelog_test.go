package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"photofinish/ingest"
	"photofinish/ingest/keys"
	"photofinish/rules"
)

// gameLog is a log as the game pushes it: no "L ", milliseconds, every line ended. The
// zone is Berlin's, an hour ahead of the node.
const gameLog = `11/21/2026 - 12:58:00.001 - Loading map "de_dust2"
11/21/2026 - 12:58:59.120 - "Ana<2><[U:1:42]><CT>" purchased "awp"
11/21/2026 - 12:59:01.470 - "Ana<2><[U:1:42]><CT>" [10 20 -3] killed "Bo<3><BOT><TERRORIST>" [4 5 6] with "awp" (headshot)
11/21/2026 - 12:59:01.470 - "Bo<3><BOT><TERRORIST>" say "gg"
11/21/2026 - 12:59:02.000 - "Cy<4><[U:1:7]><TERRORIST>" [1 2 3] killed "Ana<2><[U:1:42]><CT>" [10 20 -3] with "ak47"
11/21/2026 - 12:59:05.250 - World triggered "Round_End"
`

// piece pushes the bytes from begin up to end of the game's log, as the game does.
func (a *api) piece(begin, end int, more ...string) verdict {
	a.Helper()
	return a.gamePost(gameLog[begin:end], append([]string{
		headerToken + ": 0816dd577479d82a", headerBegin + ": " + strconv.Itoa(begin), headerEnd + ": " + strconv.Itoa(end),
	}, more...)...)
}

// gamePost is a request of the game: the key in the path, none in a header.
func (a *api) gamePost(body string, headers ...string) verdict {
	a.Helper()
	return a.do(request(http.MethodPost, pathSourceLog+"/"+a.key, strings.NewReader(body), append(headers, "Content-Type: text/plain",
		"X-Timestamp: 11/21/2026 - 12:59:05.300", "X-Steamid: [A:1:1:1]", "X-Server-Addr: 127.0.0.1:27015", "X-Tick-Start: 1", "X-Tick-End: 9")...), body)
}

// The game's own push: kills and purchases, known by token and byte, in the key's zone,
// and a heartbeat that nobody is told of.
func TestSourceLog(t *testing.T) {
	a := newAPI(t, Config{})
	v := a.piece(0, len(gameLog))
	v.want(t, http.StatusOK, 3, 0, 0)
	b := a.node.last(t)
	if len(b.Events) != 4 || b.Server != "eu-1" || b.Clock != nil || fmt.Sprint(b.Lines) != "[2 3 5 0]" || fmt.Sprint(b.OpenNs) != "[999999 999999 999999 0]" {
		t.Fatalf("the node was given %+v", b)
	}
	at := strings.Index(gameLog, "11/21/2026 - 12:59:01")
	e := b.Events[1]
	if e.ID != fmt.Sprint("0816dd577479d82a:", at) || e.Seq != uint64(at)+1 || e.At.String() != "2026-11-21T11:59:01.47Z" || e.Type != rules.TypeKill ||
		e.Player != "[U:1:42]" || e.Target != "BOT:Bo" || fmt.Sprint(e.Attrs) != "map[headshot:true team:CT victim_team:TERRORIST weapon:awp]" {
		t.Errorf("the kill is %+v", e)
	}
	if e := b.Events[0]; e.Type != rules.TypePurchase || e.SKU != "awp" {
		t.Errorf("the purchase is %+v", e)
	}
	if e := b.Events[3]; e.Type != rules.TypeHeartbeat || e.At.String() != "2026-11-21T11:59:05.25Z" {
		t.Errorf("the heartbeat is %+v", e)
	}
	again := a.piece(0, len(gameLog))
	again.want(t, http.StatusOK, 0, 3, 0)
	if strings.Contains(a.said.String(), a.key) {
		t.Error("the key is logged")
	}
	other := a.post(pathSourceLog, mediaText+"; charset=utf-8", gameLog, headerToken+": another-run", headerBegin+": 0")
	other.want(t, http.StatusOK, 3, 0, 0)
}

// However the game cuts its log into pieces at its lines, and sends them again in other
// pieces, each event is there once and with one content.
func TestPiecesInOtherBounds(t *testing.T) {
	a := newAPI(t, Config{})
	var starts []int
	for i := range gameLog {
		if i == 0 || gameLog[i-1] == '\n' {
			starts = append(starts, i)
		}
	}
	starts = append(starts, len(gameLog))
	accepted := 0
	for step := 1; step < len(starts); step++ {
		for i := 0; i+step < len(starts); i++ {
			v := a.piece(starts[i], starts[i+step])
			if v.status != http.StatusOK || v.Confl != 0 || len(v.Rejected) != 0 {
				t.Fatalf("lines %d to %d: %+v", i, i+step, v)
			}
			accepted += v.Accepted
		}
	}
	if accepted != 3 {
		t.Errorf("%d events were accepted", accepted)
	}
}

// A piece that ends within a line gives no other event than the whole one: what is cut
// is refused unless the game says that it ends there, and its rest has no stamp.
func TestUnfinishedLine(t *testing.T) {
	a := newAPI(t, Config{})
	first := strings.Index(gameLog, "11/21/2026 - 12:59:01")
	cut := strings.Index(gameLog, " (headshot)")
	v := a.gamePost(gameLog[first:cut], headerToken+": r", headerBegin+": 0")
	v.refused(t, http.StatusBadRequest, "has no end")
	v = a.gamePost(gameLog[:cut], headerToken+": r", headerBegin+": 0")
	v.want(t, http.StatusOK, 1, 0, 1)
	if r := v.Rejected[0]; r.Line != 3 || r.ID != fmt.Sprint("r:", first) || !strings.Contains(r.Error, headerEnd) {
		t.Errorf("rejected by %+v", r)
	}
	v = a.piece(cut, len(gameLog))
	v.want(t, http.StatusOK, 1, 0, 1)
	whole := strings.TrimSuffix(gameLog, "\n")
	end := strings.LastIndex(whole, "\n")
	v = a.piece(0, end) // up to a kill without its end of line
	v.want(t, http.StatusOK, 2, 1, 0)
}

// Headers that give no identity, or another than the body has, refuse the piece whole.
func TestPieceRefused(t *testing.T) {
	a := newAPI(t, Config{})
	token, begin := headerToken+": r", headerBegin+": 100"
	for name, c := range map[string]struct {
		body, says string
		headers    []string
	}{
		"no token":       {gameLog, headerToken, []string{begin}},
		"token":          {gameLog, headerToken, []string{begin, headerToken + ": a:b"}},
		"long token":     {gameLog, headerToken, []string{begin, headerToken + ": " + strings.Repeat("a", 65)}},
		"no begin":       {gameLog, headerBegin, []string{token}},
		"negative":       {gameLog, headerBegin, []string{token, headerBegin + ": -1"}},
		"begin too high": {gameLog, headerBegin, []string{token, headerBegin + ": 9223372036854775808"}},
		"end":            {gameLog, "neither cut nor changed", []string{token, begin, headerEnd + ": " + strconv.Itoa(100+len(gameLog)+1)}},
		"cut":            {gameLog[:len(gameLog)-1], "neither cut nor changed", []string{token, begin, headerEnd + ": " + strconv.Itoa(100+len(gameLog))}},
		"end no number":  {gameLog, headerEnd, []string{token, begin, headerEnd + ": x"}},
		"no log":         {`{"id":"1"}` + "\n", "not one line", []string{token, begin}},
	} {
		v := a.gamePost(c.body, c.headers...)
		v.refused(t, http.StatusBadRequest, c.says)
		if len(a.node.batches) > 0 {
			t.Fatalf("%s: the node was given something", name)
		}
	}
	text, k, err := keys.New(keys.Grant{Role: keys.RoleServer, Server: "eu-3", Region: "eu", Timezone: "UTC"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	a.known[text] = keys.Key{Grant: k.Grant, ID: k.ID} // a zone that this machine lacks
	v := a.do(request(http.MethodPost, pathSourceLog+"/"+text, strings.NewReader(gameLog), "Content-Type: text/plain", token, begin), gameLog)
	v.refused(t, http.StatusServiceUnavailable, "")
}

// Lines that are hostile or broken cost the others nothing, and a stamp in the future
// neither its line nor the answer of one that nobody sent.
func TestHostileLines(t *testing.T) {
	a := newAPI(t, Config{})
	body := "11/21/2026 - 12:59:01.470 - \"A<2><[U:1:42]><CT>\" purchased \"x\"\n" +
		strings.Repeat("z", ingest.MaxLineBytes+1) + "\n" +
		"02/30/2026 - 12:59:01.470 - \"A<2><[U:1:42]><CT>\" purchased \"x\"\n" +
		"11/21/2036 - 12:59:01.470 - \"A<2><[U:1:42]><CT>\" purchased \"x\"\n" +
		"11/21/2026 - 12:59:01.470 - \"" + strings.Repeat("n", 300) + "<2><" + strings.Repeat("s", 300) + "><CT>\" purchased \"x\"\n" +
		"11/21/2026 - 12:59:01.470 - \"\xff\x00<2><[U:1:\xff]><CT>\" purchased \"x\"\n" +
		"11/21/2036 - 12:59:01.470 - World triggered \"Round_End\"\n"
	v := a.gamePost(body, headerToken+": r", headerBegin+": 0")
	v.want(t, http.StatusOK, 2, 0, 4)
	for i, line := range []int{2, 3, 4, 5} {
		if v.Rejected[i].Line != line {
			t.Errorf("rejected is %+v, not line %d", v.Rejected[i], line)
		}
	}
}
