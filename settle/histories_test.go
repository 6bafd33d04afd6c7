package settle_test

import (
	"context"
	"fmt"
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/rulefile"
	"photofinish/rules/rulestest"
	"photofinish/settle/settletest"
)

// made is a history that is made by hand.
type made struct {
	t *testing.T
	rulestest.History
}

func (h *made) rules(source string) *rules.Ruleset {
	h.t.Helper()
	set, err := rulefile.Parse("made.yaml", []byte("version: 1\nrules:\n"+source))
	if err != nil {
		h.t.Fatal(err)
	}
	return set
}

// kill adds a kill of a player at a minute, on the server "s" in eu, to the log.
func (h *made) kill(minute int, player string, change ...func(*rules.Record)) {
	n := len(h.Log) + 1
	r := rules.Record{
		Event: rules.Event{
			Server: "s", Region: "eu", ID: fmt.Sprint(n), Type: rules.TypeKill, At: rulestest.Minutes(minute), Player: player, Count: 1, Seq: uint64(n),
		},
		Node: "eu", Offset: uint64(n), Instant: rulestest.Minutes(minute),
	}
	r.Exactly(0)
	for _, f := range change {
		f(&r)
	}
	r.Content = r.Digest()
	h.Log = append(h.Log, r)
}

func (h *made) buy(minute int, player, sku string) {
	h.kill(minute, player, func(r *rules.Record) { r.Type, r.SKU = rules.TypePurchase, sku })
}

// cut ends at a minute and holds the log as it is.
func (h *made) cut(minute int, set *rules.Ruleset, change ...func(*rules.NodeLine)) {
	n, at := uint64(len(h.Cuts)+1), rulestest.Minutes(minute)
	line := rules.NodeLine{
		Node: "eu", Published: n, Offset: uint64(len(h.Log)), Watermark: at, State: rules.NodeLive,
		Regions: []rules.RegionMark{}, Silent: []rules.SilentServer{}, Lost: []rules.Span{}, Void: []rules.Span{},
	}
	for _, f := range change {
		f(&line)
	}
	h.Cuts = append(h.Cuts, rules.SimulatedCut{Ruleset: set, Cut: rules.Cut{
		Number: n, Kind: rules.HourCut, Through: at, AsOf: at, Ruleset: set.Digest, Receipts: []rules.Partition{}, Nodes: []rules.NodeLine{line},
	}})
}

// check settles it in one process, in a fresh one for each cut, and after power cuts.
func (h *made) check() {
	h.t.Helper()
	for name, way := range map[string]settletest.Way{"one process": {}, "fresh": {Fresh: true}, "power cuts": {Restart: true}} {
		conn := clickhousetest.New(h.t)
		newWorld(h.t, conn)
		if err := settletest.Check(context.Background(), conn, h.History, way); err != nil {
			h.t.Errorf("%s: %v", name, err)
		}
	}
}

const firstOne = "  - {id: x, kind: world_first, when: {type: kill}, places: 1, threshold: 1, prize: {item: hat}}\n"

// What a draw decides waits for its seed without an entry that says so.
func TestDrawWaitsOverStarts(t *testing.T) {
	h := &made{t: t}
	set := h.rules("  - {id: x, kind: world_first, when: {type: kill}, places: 1, threshold: 1, tie: draw, scope: region, hold: 6h, prize: {item: hat}}\n")
	for _, p := range []string{"ana", "bo"} {
		h.kill(5, p, func(r *rules.Record) { r.Seq = 0 })
	}
	behind := func(l *rules.NodeLine) {
		l.Watermark, l.Regions = rulestest.Minutes(0), []rules.RegionMark{{Region: "eu", Watermark: rulestest.Minutes(0)}}
	}
	h.cut(60, set, behind)
	h.cut(120, set, behind)
	h.cut(180, set)
	h.check()
}

// Claims that are known from a time when the rule was there before may have changed
// since.
func TestRuleIsPutBack(t *testing.T) {
	const other = "  - {id: y, kind: achievement, when: {type: kill}, threshold: 100, prize: {item: hat}}\n"
	for _, rule := range []string{firstOne, "  - {id: x, kind: achievement, when: {type: kill}, threshold: 1, prize: {by_attr: class, items: {mage: staff}, otherwise: carrot}}\n"} {
		h := &made{t: t}
		with, without := h.rules(rule+other), h.rules(other)
		for n := range 60 {
			h.kill(10+n/2, fmt.Sprintf("p%02d", n))
		}
		h.cut(60, without)
		h.cut(120, with)
		h.kill(5, "p59", func(r *rules.Record) { r.Attrs = map[string]string{"class": "mage"} })
		h.cut(180, without)
		h.cut(240, with)
		h.check()
	}
}

// A power cut after the first cut by new rules takes the claims that were read of all
// that came before.
func TestPowerCutAfterNewRules(t *testing.T) {
	h := &made{t: t}
	const rule = "  - {id: x, kind: world_first, when: {type: kill}, places: 2, threshold: %d, prize: {item: hat}}\n"
	before, after := h.rules(fmt.Sprintf(rule, 100)), h.rules(fmt.Sprintf(rule, 1))
	for n := range 8 {
		h.kill(1+n, fmt.Sprint("p", n))
	}
	h.cut(60, before)
	h.cut(120, before)
	h.cut(180, before)
	h.cut(240, after)
	h.kill(250, "late")
	h.cut(300, after)
	h.cut(360, after)
	h.check()
}

// Contests of thousands of servers are decided in one cut.
func TestManyServers(t *testing.T) {
	h := &made{t: t}
	set := h.rules("  - {id: x, kind: world_first, when: {type: kill, target: [wolf, bear], attrs.mode: hard}, places: 1, threshold: 1, scope: server, prize: {item: hat}}\n")
	for i := range 2500 {
		h.kill(1, fmt.Sprint("p", i), func(r *rules.Record) {
			r.Server, r.Target, r.Attrs = fmt.Sprint("server-", i), "wolf", map[string]string{"mode": "hard"}
		})
	}
	h.cut(60, set)
	conn := clickhousetest.New(t)
	newWorld(t, conn)
	if err := settletest.Check(context.Background(), conn, h.History, settletest.Way{}); err != nil {
		t.Error(err)
	}
}

// After a rule has changed, attempts to buy in windows that are long over still get an
// answer.
func TestSaleIsChanged(t *testing.T) {
	h := &made{t: t}
	const rule = "  - {id: x, kind: sale, sku: %s, stock: 3, price: {amount: 5, currency: USD}, window: {every: hour}, correct: %s}\n"
	before, after := h.rules(fmt.Sprintf(rule, "saddle", "200h")), h.rules(fmt.Sprintf(rule, "mount", "1h"))
	h.buy(5, "ana", "saddle")
	h.buy(6, "bo", "mount")
	h.cut(60, before)
	h.cut(60*24*5, before)
	h.cut(60*24*5+60, after)
	h.check()
}

// A race of one server waits for the regions of those who stand for its places, not of
// whoever else got there.
func TestServerOfTwoRegions(t *testing.T) {
	h := &made{t: t}
	set := h.rules("  - {id: x, kind: world_first, when: {type: kill}, places: 1, threshold: 1, scope: server, hold: 24h, prize: {item: hat}}\n")
	for n := range 60 {
		h.kill(1+n, fmt.Sprintf("p%02d", n), func(r *rules.Record) {
			if n > 50 {
				r.Region = "us"
			}
		})
	}
	marks := func(eu int) func(*rules.NodeLine) {
		return func(l *rules.NodeLine) {
			l.Watermark = rulestest.Minutes(0)
			l.Regions = []rules.RegionMark{{Region: "eu", Watermark: rulestest.Minutes(eu)}, {Region: "us", Watermark: rulestest.Minutes(0)}}
		}
	}
	h.cut(70, set, marks(0))
	h.cut(120, set, marks(120))
	h.check()
}

// More subjects than a cut has entries for: the first of a race is found among all of
// them, and each gets an achievement, most in the first cut, the rest in the next.
func TestMoreThanACutHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred thousand players")
	}
	h := &made{t: t}
	set := h.rules(firstOne + "  - {id: y, kind: achievement, when: {type: kill}, threshold: 1, prize: {item: hat}}\n")
	const n = rules.MaxEntries + 10
	for i := range n {
		h.kill(30, fmt.Sprintf("p%06d", i), func(r *rules.Record) {
			r.Server = fmt.Sprint("s", i%100)
			if i == n-1 {
				r.At, r.Instant = rulestest.Minutes(1), rulestest.Minutes(1)
				r.Exactly(0)
			}
		})
	}
	h.cut(60, set)
	h.cut(60, set)
	h.Cuts[1].Cut.Kind = rules.LateCut
	conn := clickhousetest.New(t)
	newWorld(t, conn)
	if err := settletest.Check(context.Background(), conn, h.History, settletest.Way{Fresh: true}); err != nil {
		t.Errorf("%.1000v", err)
	}
}

// Of an achievement whose prize or time for corrections changes, and of one more that
// counts alike, everybody is looked at, whose claims are known too.
func TestAchievementIsChanged(t *testing.T) {
	const rule = "  - {id: %s, kind: achievement, when: {type: kill}, threshold: 1, correct: %s, prize: {item: %s}}\n"
	first := fmt.Sprintf(rule, "x", "200h", "hat")
	for name, second := range map[string]string{
		"prize":   fmt.Sprintf(rule, "x", "200h", "cap"),
		"correct": fmt.Sprintf(rule, "x", "100h", "hat"),
		"another": first + fmt.Sprintf(rule, "y", "200h", "cap"),
	} {
		t.Run(name, func(t *testing.T) {
			h := &made{t: t}
			before, after := h.rules(first), h.rules(second)
			for n := range 4 {
				for m := range 6 {
					h.kill(60*n+10+m, fmt.Sprint("p", n, m))
				}
				h.cut(60*(n+1), before)
			}
			h.kill(250, "late")
			h.cut(300, after)
			h.cut(360, after)
			h.check()
		})
	}
}

// Of those who have much more than they need not all is read: what is must not be too
// little, neither where most of it is copies, nor where a server's clock is far ahead.
func TestClaimIsReadInPart(t *testing.T) {
	const fifth = "  - {id: x, kind: world_first, when: {type: kill}, places: 2, threshold: 5, hold: 3h, prize: {item: hat}}\n"
	of := func(id int) func(*rules.Record) {
		return func(r *rules.Record) {
			r.ID, r.Seq, r.At, r.Instant = fmt.Sprint("of", id), uint64(id), rulestest.Minutes(2), rulestest.Minutes(2)
		}
	}
	for name, more := range map[string]func(h *made){
		"copies": func(h *made) {
			for n := range 150 {
				h.kill(2, "ana", of(n%3), func(r *rules.Record) { r.Exactly(0) })
			}
			h.kill(20, "ana")
			h.kill(21, "ana")
		},
		"a clock that is ahead": func(h *made) {
			for n := range 150 {
				h.kill(10+n/5, "ana")
			}
			for range 5 {
				h.kill(55, "ana", func(r *rules.Record) {
					r.Server, r.Seq, r.Instant = "t", 0, rulestest.Minutes(1)
					r.Exactly(int64(1e9))
				})
			}
		},
		"a clock that is ahead, a guess aside": func(h *made) {
			for range 5 {
				h.kill(4, "ana")
			}
			for n := range 150 {
				h.kill(10+n/5, "bo")
			}
			for range 5 {
				h.kill(55, "bo", func(r *rules.Record) {
					r.Server, r.Seq, r.Instant = "t", 0, rulestest.Minutes(3)
					r.Exactly(int64(1e9))
				})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &made{t: t}
			set := h.rules(fifth)
			for n := range 5 {
				h.kill(3+n, "cy", func(r *rules.Record) { r.Server = "u" })
			}
			more(h)
			h.cut(60, set)
			for n := range 5 {
				h.kill(61+n, "di")
			}
			h.cut(120, set)
			h.kill(2, "cy", func(r *rules.Record) { r.Server = "u" })
			h.cut(180, set)
			h.check()
		})
	}
}

// What waits for a person is looked at over starts too: it is over when the result is
// final, or when the rule says trust: late.
func TestTrustOverStarts(t *testing.T) {
	backdated := func(r *rules.Record) { r.Server, r.Backdated = "t", true }
	for name, rule := range map[string]string{
		"first":       "  - {id: x, kind: world_first, when: {type: kill}, places: 1, threshold: 1, correct: 3h, trust: %s, prize: {item: hat}}\n",
		"board":       "  - {id: x, kind: leaderboard, when: {type: kill}, window: {every: hour}, top: 1, correct: 3h, trust: %s, prizes: [{places: 1, item: hat}]}\n",
		"sale":        "  - {id: x, kind: sale, sku: mount, stock: 1, price: {amount: 5, currency: USD}, correct: 3h, trust: %s}\n",
		"achievement": "  - {id: x, kind: achievement, when: {type: kill}, threshold: 1, correct: 3h, trust: %s, prize: {by_attr: class, items: {mage: staff}, otherwise: hat}}\n",
	} {
		for _, trust := range []string{"person", "late"} {
			t.Run(name+"/"+trust, func(t *testing.T) {
				h := &made{t: t}
				set, after := h.rules(fmt.Sprintf(rule, "person")), h.rules(fmt.Sprintf(rule, trust))
				h.kill(10, "bo")
				h.buy(10, "bo", "mount")
				h.cut(60, set)
				h.kill(5, "ana", backdated)
				h.kill(6, "ana", backdated)
				h.kill(5, "bo", backdated, func(r *rules.Record) { r.Attrs = map[string]string{"class": "mage"} })
				h.kill(5, "ana", backdated, func(r *rules.Record) { r.Type, r.SKU = rules.TypePurchase, "mount" })
				for hour := 2; hour < 7; hour++ {
					h.cut(60*hour, set)
					set = after
				}
				h.check()
			})
		}
	}
}
