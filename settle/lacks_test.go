package settle_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/settle/ledger"
	"photofinish/settle/settletest"
)

// lacksOf says what the log lacks as of each cut.
func lacksOf(entries [][]rules.Entry) []string {
	var all []string
	for _, cut := range entries {
		text := ""
		for _, l := range cut[len(cut)-1].Settled.Lacks {
			if l.Sparse {
				continue
			}
			text += l.Server
			for _, g := range l.Gaps {
				text += fmt.Sprintf(" %d-%d", g.First, g.Last)
			}
			text += "; "
		}
		all = append(all, text)
	}
	return all
}

// Of a server that goes from one node to another and back the log lacks what neither has:
// not what each did not see of it, but what was lost in between; until it comes, to
// whichever node and of whatever time. So say the settlement, in one process, in a fresh
// one for each cut and after power cuts, the simulation, and verify.
func TestLacks(t *testing.T) {
	h := &made{t: t}
	set := h.rules(firstOne)
	offsets := map[string]uint64{}
	send := func(node, server string, minute int, numbers ...uint64) {
		for _, seq := range numbers {
			h.kill(minute, "ana", func(r *rules.Record) {
				offsets[node]++
				r.Server, r.ID, r.Seq, r.Node, r.Offset = server, fmt.Sprint(seq), seq, node, offsets[node]
			})
		}
	}
	cut := func(minute int) {
		h.cut(minute, set)
		c := &h.Cuts[len(h.Cuts)-1].Cut
		line := c.Nodes[0]
		c.Nodes = nil
		for _, line.Node = range []string{"a", "b"} {
			line.Offset = offsets[line.Node]
			c.Nodes = append(c.Nodes, line)
		}
	}
	send("a", "eu-3", 10, 1, 2, 3, 4, 6, 7, 8, 9, 10)
	send("a", "lines", 10, 10, 11, 40, 70, 71, 99)
	cut(60)
	send("b", "eu-3", 70, 14, 15, 16, 17, 18) // 11 to 13 were acknowledged by a node that lost its disk
	send("b", "lines", 70, 210, 211, 212)
	cut(120)
	send("a", "eu-3", 130, 19, 20, 22)
	send("b", "eu-3", 20, 5) // its sender had it still
	send("a", "eu-3", 10, 4) // again
	cut(180)
	send("b", "eu-3", 190, 12)
	send("a", "eu-3", 250, 21) // of the next hour: no hole in this one
	cut(240)
	cut(300)
	want := []string{"eu-3 5-5; ", "eu-3 5-5 11-13; ", "eu-3 11-13 21-21; ", "eu-3 11-11 13-13; ", "eu-3 11-11 13-13; "}
	if got := lacksOf(settletest.Simulate(h.History)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the log lacks\n%q, want\n%q", got, want)
	}
	h.check()
}

// What a server says it gave to no event is not missing, whether it is said before the
// server goes on or after, by one node or by two, and once it was said for good; nor does it
// make the server one whose numbers have holes.
func TestUnusedNumbersAreNotMissing(t *testing.T) {
	h := &made{t: t}
	set := h.rules(firstOne)
	send := func(numbers ...uint64) {
		for _, seq := range numbers {
			h.kill(60*len(h.Cuts)+10, "ana", func(r *rules.Record) { r.Seq = seq })
		}
	}
	var unused []rules.Unused
	cut := func() {
		h.cut(60*len(h.Cuts)+60, set, func(l *rules.NodeLine) { l.Unused = unused })
		c := &h.Cuts[len(h.Cuts)-1].Cut
		other := c.Nodes[0]
		other.Node, other.Offset = "us", 0
		c.Nodes = append(c.Nodes, other)
	}
	say := func(first, last uint64) {
		unused = append(unused, rules.Unused{Server: "s", Span: rules.Span{First: first, Last: last}})
	}
	send(1, 2, 3, 4)
	say(5, 4_000_000)
	cut()
	send(4_000_001, 4_000_002, 4_000_004)
	cut()
	send(8_000_001)
	cut()
	say(4_000_005, 8_000_000)
	cut()
	unused = nil // the node has forgotten it
	cut()
	send(4_000_003)
	cut()
	send(8_000_003)
	cut()
	want := []string{"", "s 4000003-4000003; ", "s 4000003-4000003 4000005-8000000; ", "s 4000003-4000003; ", "s 4000003-4000003; ", "", "s 8000002-8000002; "}
	for i, got := range lacksOf(settletest.Simulate(h.History)) {
		if got != want[i] {
			t.Errorf("cut %d lacks %q, want %q", i+1, got, want[i])
		}
	}
	h.check()
}

// Where a server goes on is known over starts and power cuts, also of servers of which the
// ledger says nothing: each leaves out the first number of every third cut, and tells it in
// the next.
func TestLacksOverStarts(t *testing.T) {
	h := &made{t: t}
	set := h.rules(firstOne)
	gaps := 0
	for cut := range 7 {
		for server := range 9 {
			send := func(seq int) {
				h.kill(60*cut+10, "ana", func(r *rules.Record) { r.Server, r.Seq = fmt.Sprint("s", server), uint64(seq) })
			}
			if (cut+server)%3 != 0 {
				send(4*cut + 1)
			}
			if cut > 0 && (cut+server)%3 == 1 {
				send(4*(cut-1) + 1)
			}
			for n := 2; n <= 4; n++ {
				send(4*cut + n)
			}
		}
		h.cut(60*cut+60, set)
	}
	for _, text := range lacksOf(settletest.Simulate(h.History)) {
		gaps += strings.Count(text, ";")
	}
	if gaps != 6*3 { // before the first cut nothing was known
		t.Errorf("the cuts lack numbers of %d servers", gaps)
	}
	h.check()
}

// What a node publishes of unused numbers stands in the cut.
func TestUnusedNumbersStandInTheCut(t *testing.T) {
	inputs, _, through := days(t)
	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs[0])
	err := w.conn.Exec(context.Background(), "INSERT INTO progress SELECT * REPLACE (published + 1 AS published, "+
		"[('cs', 7, 9)]::Array(Tuple(server String, first UInt64, last UInt64)) AS unused) FROM progress ORDER BY published DESC LIMIT 1")
	if err != nil {
		t.Fatal(err)
	}
	w.run(every(oneCut), through)
	cuts, err := ledger.New(w.conn).Cuts(context.Background(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []rules.Unused{{Server: "cs", Span: rules.Span{First: 7, Last: 9}}}
	if got := cuts[0].Nodes[0].Unused; !slices.Equal(got, want) {
		t.Errorf("the cut says %v, want %v", got, want)
	}
	w.verify()
}
