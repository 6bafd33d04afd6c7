package httpapi

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"photofinish/ingest"
	"photofinish/rules"
)

// Numbers that do not come are named, those that come late are not, and a server that
// sends none has none.
func TestGaps(t *testing.T) {
	a := newAPI(t, Config{})
	send := func(seqs ...int) {
		t.Helper()
		var lines []string
		for _, seq := range seqs {
			lines = append(lines, strings.Replace(strings.Replace(kill, `"183"`, fmt.Sprintf(`"%d"`, seq), 1), `"seq":183`, fmt.Sprintf(`"seq":%d`, seq), 1))
		}
		v := a.push(strings.Join(lines, "\n"))
		v.want(t, http.StatusOK, len(seqs), 0, 0)
	}
	want := func(gaps ...string) {
		t.Helper()
		var got []string
		for _, g := range a.Gaps() {
			got = append(got, fmt.Sprintf("%s%s %d-%d", g.Server, g.Log, g.First, g.Last))
		}
		if fmt.Sprint(got) != fmt.Sprint(gaps) {
			t.Fatalf("the gaps are %v, want %v", got, gaps)
		}
	}
	want()
	send(1000, 1001, 1002)
	want()
	send(1054, 1041, 7) // 7 is from before this node started
	want("eu-1 1003-1040", "eu-1 1042-1053")
	send(1003, 1040, 1020, 1053)
	want("eu-1 1004-1019", "eu-1 1021-1039", "eu-1 1042-1052")
	a.node.err = errDisk
	v := a.push(strings.Replace(kill, `"seq":183`, `"seq":1042`, 1))
	v.refused(t, http.StatusServiceUnavailable, "")
	want("eu-1 1004-1019", "eu-1 1021-1039", "eu-1 1042-1052") // it did not come
	a.node.err = nil
	a = newAPI(t, Config{})
	second, third := strings.Index(gameLog, "11/21/2026 - 12:58:59"), strings.Index(gameLog, "11/21/2026 - 12:59:01")
	a.piece(0, second)
	a.piece(third, len(gameLog))
	want(fmt.Sprintf("eu-10816dd577479d82a %d-%d", second, third-1))
	a.gamePost(gameLog, headerToken+": next", headerBegin+": 0")
	want()
}

// Against a set of all numbers, for random spans in random order: as long as none had to
// be forgotten, missing is exactly what did not come.
func TestGapsAreExact(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(3, seed))
		g, came := newGaps(), map[uint64]bool{}
		first, last := uint64(math.MaxUint64), uint64(0)
		for range 60 {
			from := random.Uint64N(100) + 100
			to := from + random.Uint64N(4)
			g.bytes("a", "l", from, to-from+1)
			if len(came) == 0 {
				first = from
			}
			for n := from; n <= to; n++ {
				came[n] = true
			}
			last = max(last, to)
			missing := map[uint64]bool{}
			for _, gap := range g.list() {
				if gap.First > gap.Last {
					t.Fatalf("the gap %+v is none", gap)
				}
				for n := gap.First; n <= gap.Last; n++ {
					missing[n] = true
				}
			}
			for n := first; n <= last; n++ {
				if came[n] == missing[n] {
					t.Fatalf("seed %d: %d came: %t, missing: %t", seed, n, came[n], missing[n])
				}
			}
		}
	}
}

// A server that numbers by twos, or jumps to the end of all numbers, takes bounded memory.
func TestGapsAreBounded(t *testing.T) {
	g := newGaps()
	for n := range uint64(10 * maxGaps) {
		g.bytes("a", "l", 2*n, 1)
	}
	if n := len(g.list()); n != maxGaps {
		t.Errorf("there are %d gaps", n)
	}
	g.bytes("a", "l", math.MaxUint64, 1)
	g.bytes("a", "l", 5*maxGaps*2+1, 1)
	if n := len(g.list()); n > maxGaps {
		t.Errorf("there are %d gaps", n)
	}
}

// What a sender says it gave to no event is no gap; rubbish says nothing.
func TestVoidNumbersAreNoGap(t *testing.T) {
	g := newGaps()
	beat := func(void string) rules.Event {
		return rules.Event{Type: rules.TypeHeartbeat, Attrs: map[string]string{ingest.AttrVoid: void}}
	}
	g.numbers("s", []rules.Event{{Seq: 1}, beat("2-4194310,x-9,9-8,0-5,7"), {Seq: 4_194_311}, {Seq: 4_194_320}, beat("4194312-4194315")})
	if want := (Gap{Server: "s", First: 4_194_316, Last: 4_194_319}); len(g.list()) != 1 || g.list()[0] != want {
		t.Errorf("%v, want %v alone", g.list(), want)
	}
}

// Of one batch a bounded number of spans is read, however many it names, and none of an
// attribute that the node refuses for its length.
func TestVoidsAreBounded(t *testing.T) {
	beat := func(void string) rules.Event {
		return rules.Event{Type: rules.TypeHeartbeat, Attrs: map[string]string{ingest.AttrVoid: void}}
	}
	const gap = 4
	for name, c := range map[string]struct {
		beats []rules.Event
		left  int
	}{
		"the last":       {[]rules.Event{beat(strings.Repeat("1-1,", maxVoids-1) + "3-6")}, 0},
		"one too many":   {[]rules.Event{beat(strings.Repeat("1-1,", maxVoids) + "3-6")}, gap},
		"of two beats":   {[]rules.Event{beat(strings.Repeat("1-1,", maxVoids)), beat("3-6")}, gap},
		"rubbish counts": {[]rules.Event{beat(strings.Repeat(",", maxVoids) + "3-6")}, gap},
		"refused":        {[]rules.Event{beat("3-6," + strings.Repeat("x", ingest.MaxAttrValueBytes))}, gap},
	} {
		g := newGaps()
		g.numbers("s", append([]rules.Event{{Seq: 1}, {Seq: 2}, {Seq: 7}}, c.beats...))
		left := 0
		for _, gap := range g.list() {
			left += int(gap.Last - gap.First + 1)
		}
		if left != c.left {
			t.Errorf("%s: %d numbers are missing, want %d", name, left, c.left)
		}
	}
}

// A server whose numbers take long holds up neither another's nor another's log.
func TestServersDoNotWaitForEachOther(t *testing.T) {
	g := newGaps()
	busy := g.at("busy", false)
	busy.mu.Lock()
	defer busy.mu.Unlock()
	waiting, done := make(chan struct{}), make(chan struct{})
	go func() {
		close(waiting)
		g.numbers("busy", []rules.Event{{Seq: 1}}) // not before the test ends
	}()
	go func() {
		<-waiting
		g.numbers("other", []rules.Event{{Seq: 1}, {Seq: 3}})
		g.bytes("busy", "l", 0, 10)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("another server waits")
	}
}
