package announce_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"photofinish/rules"
	"photofinish/rules/rulefile"
)

// The rules that the ledger below was decided by.
const rulesFile = `version: 1
rules:
  - id: rabbit-slayer
    kind: world_first
    title: First to slay 10,000 rabbits
    when: {type: kill, target: rabbit}
    subject: player
    threshold: 10000
    places: 3
    correct: 72h
    prize: {item: golden-carrot}
  - id: boss-7
    kind: world_first
    title: "Boss 7 <first> | *down*"
    when: {type: kill, target: boss-7}
    subject: guild
    scope: region
    threshold: 1
    tie: share
    prize: {item: banner}
  - id: moth-hunter
    kind: achievement
    title: Moth hunter
    when: {type: kill, target: moth}
    subject: player
    threshold: 100
    prize: {item: lamp}
  - id: daily-kills
    kind: leaderboard
    title: Most kills of the day
    when: {type: kill}
    subject: player
    window: {every: day}
    top: 10
    ranks: shared
    prizes: [{places: 1, item: crown}]
  - id: celestial-mount
    kind: sale
    title: Celestial mount
    sku: celestial-mount
    stock: 3
    per_player: 1
    price: {amount: 999, currency: USD}
  - id: arrows
    kind: sale
    title: Arrows
    sku: arrows
    price: {amount: 25, currency: USD}
`

// nasty are names that players might choose to hurt whoever shows them.
var nasty = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`javascript:alert(1)`,
	"@everyone @here <@123456> <@&9> <#1> <!channel>",
	"[free gold](https://evil.example)",
	"![x](https://evil.example/x.png) https://evil.example www.evil.example",
	"`code` ```block``` *bold* _it_ ~~no~~ ||spoiler||",
	"a|b|c\\|d\\",
	"line\nbreak\r\n# heading\n\n- item",
	"\u202egnp.exe\u2066 \u200bzero\ufeff \u0007bell \x1b[31mred\x1b[0m \u0085",
	"]]>&amp;&lt;!-- --><![CDATA[ </title></text></svg>",
	"Ze\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301bra Z\u0300\u0301\u0302\u0303\u0304\u0305",
	"محمد 12",
	"👨\u200d👩\u200d👧 family",
	"{{.Policy}} ${x} %s %d </style><style>*{display:none}",
	"  ",
	"\u3164",
	"ends broken \xff\xfe",
	"a very long name that goes on and on and on and on and on and on and on and on and on and on and on and on, still",
	"東京の兎を倒す者たちの長い長い長い名前のギルド",
	"- [ ] 1. > + #tag $x^2$ :smile: &copy; \\",
	"",
}

const hour = rules.Instant(time.Hour)

func at(text string) rules.Instant {
	i, err := rules.ParseInstant(text)
	if err != nil {
		panic(err)
	}
	return i
}

// claim is a finish that is right give or take err.
func claim(subject, instant string, err time.Duration, prize string) rules.Claim {
	i, e := at(instant), rules.Instant(err)
	return rules.Claim{Subject: subject, At: i, Point: i, Earliest: i - e, Latest: i + e, Region: "eu", Decided: rules.Identity{Server: "eu-1", ID: "e-" + instant[11:19]}, Prize: prize}
}

// seen is a finish that one server saw.
func seen(c rules.Claim, server string, seq uint64) rules.Claim {
	c.Decided = rules.Identity{Server: server, ID: fmt.Sprint(seq)}
	return c
}

func award(rule, scope string, place int, state rules.AwardState, tied bool, c rules.Claim, next ...rules.Claim) rules.Entry {
	if next == nil {
		next = []rules.Claim{}
	}
	e := rules.Entry{
		Kind: rules.KindAward, Rule: rule, Scope: rules.Scope(scope),
		Award: &rules.Award{Place: place, Claim: c, Tied: tied, State: state, FinalAt: c.Latest.Add(72 * time.Hour), RunnersUp: next},
	}
	if state == rules.Provisional {
		e.Key = "pf-" + rule + c.Subject
	} else {
		e.Award.Until = c.Latest.Add(6 * time.Hour)
		e.Award.WaitsFor = []rules.Lag{{Node: "eu-3", Since: c.At}}
	}
	return e
}

func correcting(e rules.Entry, wrong *rules.Entry) rules.Entry {
	e.Award.Corrects = wrong.ID
	return e
}

func correction(wrong *rules.Entry, found, policy, reason string) rules.Entry {
	e := rules.Entry{
		Kind: rules.KindCorrection, Rule: wrong.Rule, Scope: wrong.Scope, Window: wrong.Window,
		Correction: &rules.Correction{Corrects: wrong.ID, Found: found, Policy: policy, Reason: reason},
	}
	if wrong.Award != nil {
		e.Correction.Place, e.Correction.Subject = wrong.Award.Place, wrong.Award.Claim.Subject
		if policy == rules.Keep {
			e.Correction.Keeps, e.Correction.Denied = []string{e.Correction.Subject}, []string{found}
		} else {
			e.Correction.Gains, e.Correction.Loses = []string{found}, []string{e.Correction.Subject}
		}
	}
	if wrong.Allocation != nil {
		e.Correction.Subject = wrong.Allocation.Player
	}
	return e
}

func compensation(wrong *rules.Entry, kind, subject, item string, takes bool) rules.Entry {
	return rules.Entry{
		Kind: rules.KindCompensation, Rule: wrong.Rule, Scope: wrong.Scope, Window: wrong.Window,
		Compensation: &rules.Compensation{Kind: kind, Subject: subject, Because: wrong.ID, Item: item, Takes: takes},
	}
}

func allocation(rule, player, instant string, stock int64, state rules.AllocationState, reason string) rules.Entry {
	i := at(instant)
	e := rules.Entry{
		Kind: rules.KindAllocation, Rule: rule, Scope: "world",
		Allocation: &rules.Allocation{
			Attempt: rules.Identity{Server: "us-1", ID: "b-" + player}, Player: player, Region: "us", At: i, Instant: i, Earliest: i - 5e7, Latest: i + 5e7, Units: 1, State: state, Reason: reason,
			Price: rules.Money{Amount: 999, Currency: "USD"}, Item: rule, Stock: stock, FinalAt: i + 72*hour,
		},
	}
	if state == rules.Reserved {
		e.Key = "pf-sell-" + player
	}
	return e
}

var day = rules.Window{Opens: at("2026-11-20T00:00:00Z"), Closes: at("2026-11-21T00:00:00Z")}

func board(lines ...rules.Line) rules.Entry {
	return rules.Entry{
		Kind: rules.KindBoard, Rule: "daily-kills", Scope: "world", Window: day,
		Board: &rules.Board{Lines: lines, FinalAt: day.Closes + 72*hour},
	}
}

func line(place int, subject string, score int64, tied bool, prize string) rules.Line {
	return rules.Line{Place: place, Subject: subject, Score: rules.Whole(score), Reached: at("2026-11-20T21:14:03.25Z"), Tied: tied, Prize: prize}
}

// maxRunners is how many finishes a picture shows.
const maxRunners = 12

// ledger is a hand-made history of seven cuts.
type ledger struct {
	cuts     []rules.Cut
	entries  []rules.Entry
	rulesets []*rules.Ruleset
}

func (l *ledger) settle(through string, events rules.Settled, lagging []string, entries ...rules.Entry) []rules.Entry {
	n := uint64(len(l.cuts) + 1)
	nodes := []rules.NodeLine{}
	for _, name := range lagging {
		nodes = append(nodes, rules.NodeLine{Node: name, State: rules.NodeLive, Watermark: at(through) - hour, Since: at(through) - hour})
	}
	l.cuts = append(l.cuts, rules.Cut{Number: n, Through: at(through), Ruleset: l.rulesets[0].Digest, Kind: rules.HourCut, AsOf: at(through).Add(2 * time.Minute), Nodes: nodes})
	sealed := rules.Seal(n, entries, events)
	l.entries = append(l.entries, sealed...)
	return sealed
}

// lacks is what the log lacks of a server.
func lacks(server string, sparse bool, spans ...rules.Span) rules.Lack {
	l := rules.Lack{Server: server, Sparse: sparse, From: 1, Last: 2000}
	for _, s := range spans {
		l.Gaps = append(l.Gaps, rules.Gap{Span: s, Since: at("2026-11-20T09:02:00Z")})
	}
	return l
}

// history returns the ledger that the tests show:
//
//	1  a held award while eu-3 lags, a shared tie, an unlimited sale, a sealed draw
//	2  the held award is given, a runner-up microseconds behind on the same server;
//	   the sale of three mounts begins; the day's board
//	3  an earlier finish corrects an award (duplicate_award), another is transferred,
//	   a final one is kept; the board is corrected; a mount moves to an earlier buyer;
//	   the log lacks numbers of two servers
//	4  nothing, and nothing is missing any more
//	5  the names of players who would like to hurt the page, a drawn tie, conflicts
//	6  more attempts are told that the mounts are sold out
//	7  nothing, much later: everything is final
func history(t testing.TB) *ledger {
	t.Helper()
	set, err := rulefile.Parse("rules.yaml", []byte(rulesFile))
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{rulesets: []*rules.Ruleset{set}}
	ana := seen(claim("Ana", "2026-11-20T07:12:40.5Z", 12*time.Millisecond, "golden-carrot"), "eu-1", 812)
	bo := seen(claim("Bo", "2026-11-20T07:12:40.50004Z", 12*time.Millisecond, "golden-carrot"), "eu-1", 813)
	cy := claim("Cy", "2026-11-20T07:12:41.25Z", 300*time.Millisecond, "golden-carrot")
	ash := claim("Ash", "2026-11-20T07:31:14Z", 500*time.Millisecond, "banner")
	oak := claim("Oak", "2026-11-20T07:31:14.4Z", 500*time.Millisecond, "banner")
	elm := claim("Elm", "2026-11-20T07:31:16.1Z", 500*time.Millisecond, "banner")
	fir := claim("Fir", "2026-11-20T10:02:00Z", 500*time.Millisecond, "banner")

	commitment := rules.Entry{
		Kind: rules.KindCommitment, Rule: "boss-7", Scope: "region:us",
		Commitment: &rules.Commitment{Digests: []string{"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},
	}
	c1 := l.settle("2026-11-20T08:00:00Z", rules.Settled{Events: 44558}, []string{"eu-3"},
		award("rabbit-slayer", "world", 1, rules.Held, false, ana, bo, cy),
		award("boss-7", "region:eu", 1, rules.Provisional, true, ash, elm, fir),
		award("boss-7", "region:eu", 1, rules.Provisional, true, oak, elm, fir),
		award("moth-hunter", "world", 0, rules.Provisional, false, claim("Mo", "2026-11-20T07:00:00Z", 0, "lamp")),
		allocation("arrows", "Ana", "2026-11-20T07:05:00Z", 0, rules.Reserved, ""),
		allocation("arrows", "Bo", "2026-11-20T07:04:00Z", 0, rules.Reserved, ""),
		commitment,
	)
	c2 := l.settle("2026-11-20T09:00:00Z", rules.Settled{Events: 51200, Late: 4}, nil,
		award("rabbit-slayer", "world", 1, rules.Provisional, false, ana, bo, cy),
		award("rabbit-slayer", "world", 2, rules.Provisional, false, bo, cy),
		board(line(1, "Ana", 120, false, "crown"), line(2, "Bo", 80, true, ""), line(2, "Cy", 80, true, ""), line(4, "Di", 9007199254740993, false, "")),
		rules.Entry{Kind: rules.KindPrize, Rule: "daily-kills", Scope: "world", Window: day, Key: "pf-crown", Prize: &rules.Grant{Place: 1, Subject: "Ana", Item: "crown"}},
		allocation("celestial-mount", "Ana", "2026-11-20T08:00:00.1Z", 3, rules.Reserved, ""),
		allocation("celestial-mount", "Cy", "2026-11-20T08:00:00.3Z", 3, rules.Reserved, ""),
		allocation("arrows", "Cy", "2026-11-20T08:04:00Z", 0, rules.Reserved, ""),
	)
	gil := seen(claim("Gil", "2026-11-20T07:12:38Z", 700*time.Millisecond, "golden-carrot"), "us-2", 77)
	anaGave, boGave, ashGave, dayBoard, cyMount := &c2[0], &c2[1], &c1[1], &c2[2], &c2[5]
	newBoard := board(line(1, "Cy", 121, false, "crown"), line(2, "Ana", 120, false, ""))
	newBoard.Board.Corrects = dayBoard.ID
	lost := allocation("celestial-mount", "Cy", "2026-11-20T08:00:00.3Z", 3, rules.SoldOut, "all 3 are sold")
	lost.Allocation.Corrects = cyMount.ID
	l.settle("2026-11-21T09:00:00Z", rules.Settled{Events: 3120, Late: 210, TooLate: 2, Lacks: []rules.Lack{
		lacks("eu-1", false, rules.Span{First: 812, Last: 812}), lacks("eu-3", false, rules.Span{First: 1042, Last: 1053}, rules.Span{First: 1060, Last: 1060}),
		lacks("logs", true, rules.Span{First: 7, Last: 99}),
	}}, nil,
		correction(anaGave, "Gil", rules.DuplicateAward, "place 1: earlier evidence came to light"),
		correction(boGave, "Ana", rules.Transfer, "place 2: earlier evidence came to light"),
		compensation(boGave, rules.Transfer, "Bo", "golden-carrot", true),
		compensation(anaGave, rules.DuplicateAward, "Gil", "golden-carrot", false),
		correcting(award("rabbit-slayer", "world", 1, rules.Provisional, false, gil, ana, bo, cy), anaGave),
		correcting(award("rabbit-slayer", "world", 2, rules.Provisional, false, ana, bo, cy), anaGave),
		correction(ashGave, "Yew", rules.Keep, "place 1: the award was final"),
		compensation(ashGave, rules.Keep, "Yew", "", false),
		correction(dayBoard, "sha256:0011", rules.DuplicateAward, "earlier evidence came to light"),
		newBoard,
		compensation(dayBoard, rules.DuplicateAward, "Cy", "crown", false),
		correction(cyMount, "", rules.Transfer, "earlier attempts came to light: reserved becomes sold_out"),
		compensation(cyMount, rules.Transfer, "Cy", "celestial-mount", true),
		lost,
		allocation("celestial-mount", "Bo", "2026-11-20T08:00:00.2Z", 3, rules.Reserved, ""),
		allocation("celestial-mount", "Di", "2026-11-20T08:00:00.05Z", 3, rules.Reserved, ""),
		allocation("celestial-mount", "Ed", "2026-11-20T08:00:00.15Z", 3, rules.Declined, "one player may have 1"),
	)
	l.settle("2026-11-21T10:00:00Z", rules.Settled{Events: 12}, nil)

	var names []rules.Entry
	for i, name := range nasty {
		c := claim(name, "2026-11-21T10:00:01Z", 3*time.Second, name)
		c.At, c.Earliest, c.Latest = c.At.Add(time.Duration(i)*1e8), c.Earliest.Add(time.Duration(i)*1e8), c.Latest.Add(time.Duration(i)*1e8)
		c.Point = c.At
		next := c
		next.Subject += "2"
		names = append(names,
			award("moth-hunter", "world", 0, rules.Provisional, false, c),
			award("boss-7", "server:"+nasty[i/maxRunners], 1, rules.Provisional, true, c, next),
			rules.Entry{Kind: rules.KindConflict, Conflict: &rules.Conflict{Identity: rules.Identity{Server: name, ID: name}}})
	}
	drawn := award("boss-7", "region:us", 1, rules.Provisional, true, oak, ash)
	drawn.Award.Seed = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff"
	hostile := lacks(nasty[0], false, rules.Span{First: 1, Last: math.MaxUint64})
	hostile.Older = true
	l.settle("2026-11-21T11:00:00Z", rules.Settled{Events: 23, Lacks: []rules.Lack{hostile, lacks(nasty[6], false, rules.Span{First: 3, Last: 3})}, MoreLack: 2}, nasty[:3], append(names, drawn)...)
	l.settle("2026-11-21T12:00:00Z", rules.Settled{Events: 2}, nil,
		allocation("celestial-mount", "Flo", "2026-11-21T11:30:00Z", 3, rules.SoldOut, "all 3 are sold"),
	)
	l.settle("2027-01-01T00:00:00Z", rules.Settled{}, nil)
	return l
}
