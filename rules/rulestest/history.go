// Package rulestest makes random histories for tests: a merged log, rulesets of every
// kind of rule, and the cuts that settle them.
package rulestest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

// History is a random log and the cuts that settle it.
type History struct {
	Log  []rules.Record
	Cuts []rules.SimulatedCut
	Runs []Run // that make the cuts, by what nodes have published; only of Wildness.Nodes
}

// Wildness says what may happen in a history.
type Wildness struct {
	Late    bool // events arrive after their cut, and nodes lag
	Copies  bool // events are sent twice, with other estimates, or with another content
	Clocks  bool // clocks are uncertain, and their estimates contradict themselves
	Keep    bool // rules may keep what was decided, or have it final soon
	Changes bool // the ruleset changes between cuts
	Crowd   bool // many get to a number that is low, most of them long after its places are taken
	Trust   bool // what comes late is backdated but for a third, over many cuts, and most of it matters
	// Nodes says that the cuts are those that a plan makes of what nodes publish, which
	// stop, are cut off, lose rows, are retired, and take over from one another.
	Nodes bool
}

func start() rules.Instant {
	return rules.Instant(time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC).UnixNano())
}

// Minutes returns the instant so many minutes after the start.
func Minutes(n int) rules.Instant { return start() + minutesApart(n) }

func minutesApart(n int) rules.Instant { return rules.Instant(n) * rules.Instant(time.Minute) }

func pick(rng *rand.Rand, words ...string) string { return words[rng.IntN(len(words))] }

// Ruleset has rules of every kind, with their words drawn.
func Ruleset(t testing.TB, rng *rand.Rand, w Wildness) *rules.Ruleset {
	t.Helper()
	policies, correct := []string{"duplicate_award", "transfer"}, []string{"200h"}
	if w.Keep {
		policies, correct = append(policies, "keep"), append(correct, "1h", "0s")
	}
	common := func(policies ...string) string {
		if w.Trust {
			return fmt.Sprintf("hold: 0s, correct: %s, on_correction: %s, scope: world, window: {%s}", pick(rng, "2h", "200h"), pick(rng, policies...),
				pick(rng, "every: day", "opens: 2026-06-01T10:00:00Z, closes: 2026-06-01T12:00:00Z"))
		}
		return fmt.Sprintf("hold: %s, correct: %s, on_correction: %s, scope: %s, window: {%s}",
			pick(rng, "0s", "30m", "6h"), pick(rng, correct...), pick(rng, policies...), pick(rng, "world", "world", "region", "server"),
			pick(rng, "every: hour", "every: day", `cron: "*/90 * * * *"`, "opens: 2026-06-01T11:00:00Z, closes: 2026-06-01T13:00:00Z"))
	}
	subjects, most := []string{"player", "guild"}, 6
	if w.Crowd {
		subjects, most = subjects[:1], 2
	}
	first := func(id string) string {
		return fmt.Sprintf("{id: %s, kind: world_first, when: {type: kill}, subject: %s, threshold: %d, measure: %s, places: %d, tie: %s, "+
			"prize: {by_attr: class, items: {mage: staff}, otherwise: carrot}, %s}", id, pick(rng, subjects...), 1+rng.IntN(most),
			pick(rng, "count", "{distinct: target}", "{sum: attrs.damage}"), 1+rng.IntN(3), pick(rng, "share", "earliest", "draw"), common(policies...))
	}
	board := fmt.Sprintf("{id: board, kind: leaderboard, when: {type: kill}, top: %d, ranks: %s, order: %s, prizes: [{places: 1, item: crown}, {places: 2, item: cup}], %s}",
		2+rng.IntN(3), pick(rng, "unique", "shared"), pick(rng, "desc", "asc"), common(policies...))
	each := fmt.Sprintf("{id: each, kind: achievement, when: {type: kill}, threshold: %d, prize: {by_attr: class, items: {mage: wand}, otherwise: foot}, %s}", 1+rng.IntN(8), common(policies...))
	sale := func(id, sku string) string {
		stock := 1 + rng.IntN(5)
		return fmt.Sprintf("{id: %s, kind: sale, sku: %s, stock: %d, per_player: %d, queue: %s, price: {amount: 5, currency: USD}, %s}",
			id, sku, stock, 1+rng.IntN(3), pick(rng, "arrival", "lottery"), common(policies[1:]...))
	}
	source := "version: 1\nrules:\n"
	for _, r := range []string{first("one"), first("two"), board, each, sale("sale", "mount"), sale("more", "saddle")} {
		if len(r)%4 == 0 { // as good as drawn, and draws nothing
			r = strings.TrimSuffix(r, "}") + ", trust: late}"
		}
		source += "  - " + r + "\n"
	}
	set, err := rulefile.Parse("random.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Event returns a random event of that number.
func Event(rng *rand.Rand, id int, w Wildness) rules.Record {
	region := pick(rng, "eu", "us")
	at := Minutes(rng.IntN(240))
	players := 6
	if w.Crowd {
		players = 40
	}
	e := rules.Event{
		Server: fmt.Sprintf("%s-%d", region, rng.IntN(2)), Region: region, ID: fmt.Sprint(id), Type: rules.TypeKill, At: at,
		Player: fmt.Sprintf("p%d", rng.IntN(players)), Guild: pick(rng, "", "oak", "elm", "ivy"), Target: pick(rng, "", "rabbit", "wolf", "bear"),
		Count: int64(rng.IntN(4)), Seq: uint64(id), Attrs: map[string]string{"class": pick(rng, "mage", "bard"), "damage": pick(rng, "1", "2", "x")},
	}
	if rng.IntN(3) == 0 {
		e.Type, e.Target, e.SKU = rules.TypePurchase, "", pick(rng, "mount", "saddle")
	}
	r := rules.Record{Event: e, Node: region, Instant: at}
	if w.Clocks {
		r.Seq = uint64(rng.IntN(3))
		r.Instant += minutesApart(rng.IntN(29) - 14)
		err := minutesApart(rng.IntN(10))
		r.Earliest, r.Latest = r.Instant-err, r.Instant+err+minutesApart(rng.IntN(3))
		return r
	}
	r.Exactly(0)
	return r
}

// Random returns some hours of events of six players, or forty, on four servers.
func Random(t testing.TB, rng *rand.Rand, w Wildness) History {
	t.Helper()
	if w.Nodes {
		return newWorld(t, rng, w).live()
	}
	type arrival struct {
		rules.Record
		cut int // that takes it in first
	}
	cuts := 1 + rng.IntN(5)
	quiet := 0 // cuts at the end that nothing comes for: what waits is over by time alone
	if w.Trust {
		cuts, quiet = cuts+5, 2
	}
	var arrivals []arrival
	events := 20 + rng.IntN(60)
	if w.Crowd {
		events *= 2
	}
	for id := range events {
		a := arrival{Record: Event(rng, id, w)}
		if w.Late {
			a.cut = rng.IntN(cuts - quiet)
			a.Backdated = a.cut > 0 && id%3 > 0 && (w.Trust || id%2 == 0)
		}
		arrivals = append(arrivals, a)
		if !w.Copies || rng.IntN(4) > 0 {
			continue
		}
		second := a
		second.cut, second.Node, second.Backdated = rng.IntN(cuts-quiet), pick(rng, "eu", "us"), id%4 < 2
		switch rng.IntN(3) {
		case 0:
			second.Instant += minutesApart(rng.IntN(179) - 89)
			second.Exactly(int64(minutesApart(rng.IntN(10))))
		case 1:
			second.Player, second.Count = "p0", 3 // a conflict
		}
		arrivals = append(arrivals, second)
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.cut, b.cut) })
	var h History
	set, through := Ruleset(t, rng, w), 30
	offsets := map[string]uint64{}
	previous := rules.Cut{}
	for i := range cuts {
		kind := rules.HourCut
		if w.Late && i > 0 && rng.IntN(3) == 0 {
			kind = rules.LateCut
		} else {
			through += rng.IntN(120)
		}
		if i >= cuts-quiet {
			kind = rules.HourCut
			through += 60
		}
		if w.Changes && rng.IntN(2) == 0 {
			set = Ruleset(t, rng, w)
		}
		cut := rules.Cut{
			Number: uint64(i + 1), Kind: kind, Through: Minutes(through), AsOf: max(previous.AsOf, Minutes(through+rng.IntN(90))),
			Complete: rng.IntN(4) == 0, Ruleset: set.Digest, Receipts: []rules.Partition{}, Nodes: []rules.NodeLine{},
		}
		for len(arrivals) > 0 && arrivals[0].cut <= i {
			r := arrivals[0].Record
			offsets[r.Node]++
			r.Offset, r.Content = offsets[r.Node], r.Digest()
			h.Log = append(h.Log, r)
			arrivals = arrivals[1:]
		}
		for _, node := range []string{"eu", "us"} {
			cut.Nodes = append(cut.Nodes, line(rng, node, uint64(i+1), offsets[node], through, w))
		}
		h.Cuts = append(h.Cuts, rules.SimulatedCut{Cut: cut, Ruleset: set})
		previous = cut
	}
	return h
}

// line returns what a cut may know of a node: that it is far ahead, or lags in one of
// the ways there are.
func line(rng *rand.Rand, node string, published, offset uint64, through int, w Wildness) rules.NodeLine {
	mark := Minutes(through + 60)
	if w.Late && rng.IntN(2) == 0 {
		mark = Minutes(rng.IntN(through + 1))
	}
	l := rules.NodeLine{
		Node: node, Published: published, Offset: offset, Watermark: mark, Regions: []rules.RegionMark{}, State: rules.NodeLive,
		Since: mark, Silent: []rules.SilentServer{}, Lost: []rules.Span{}, Void: []rules.Span{},
	}
	if rng.IntN(3) > 0 {
		l.Regions = append(l.Regions, rules.RegionMark{Region: node, Watermark: mark})
	}
	if w.Late {
		l.State = []rules.NodeState{rules.NodeLive, rules.NodeLive, rules.NodeLive, rules.NodeExcused, rules.NodeRetired}[rng.IntN(5)]
		if rng.IntN(3) == 0 {
			l.Others = mark - minutesApart(15)
		}
		if rng.IntN(3) == 0 {
			l.Silent = append(l.Silent, rules.SilentServer{Server: node + "-1", Watermark: mark, Since: mark})
		}
	}
	return l
}

// Wilds returns the ways to be wild that tests go through, by name.
func Wilds() map[string]Wildness {
	return map[string]Wildness{
		"calm":       {},
		"late":       {Late: true},
		"kept":       {Late: true, Keep: true},
		"clocks":     {Late: true, Keep: true, Clocks: true},
		"copies":     {Late: true, Keep: true, Clocks: true, Copies: true},
		"crowd":      {Late: true, Keep: true, Clocks: true, Crowd: true},
		"everything": {Late: true, Keep: true, Clocks: true, Copies: true, Changes: true},
		"trust":      {Late: true, Trust: true},
		"trusting":   {Late: true, Keep: true, Clocks: true, Copies: true, Changes: true, Trust: true},
		"nodes":      {Nodes: true, Late: true, Keep: true},
		"hours":      {Nodes: true, Late: true, Keep: true, Clocks: true},
		"failovers":  {Nodes: true, Late: true, Keep: true, Clocks: true, Copies: true, Changes: true},
	}
}
