package settle_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/rules/rulefile"
	"photofinish/rules/rulestest"
	"photofinish/settle/settletest"
)

// Whatever the history, the settlement that reads little appends byte for byte what the
// simulation decides, which reads everything anew at each cut and shares no SQL with
// it: in one process, with a fresh one for every cut, and with every row of the log
// inserted twice. PFTEST_HISTORIES asks for more rounds of each kind of history,
// PFTEST_FIRST_HISTORY for those from a number on; cmd/bench histories runs many.
func TestSimulation(t *testing.T) {
	rounds, first := 3, 0
	if testing.Short() {
		rounds = 1
	}
	if n, err := strconv.Atoi(os.Getenv("PFTEST_HISTORIES")); err == nil {
		rounds = n
	}
	if n, err := strconv.Atoi(os.Getenv("PFTEST_FIRST_HISTORY")); err == nil {
		first = n
	}
	for name, w := range rulestest.Wilds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := first; round < first+rounds; round++ {
				h := rulestest.Random(t, rand.New(rand.NewPCG(uint64(round), 7)), w)
				conn := clickhousetest.New(t)
				newWorld(t, conn)
				if err := settletest.Check(context.Background(), conn, h, settletest.WayOf(round)); err != nil {
					t.Fatalf("in round %d %v", round, err)
				}
			}
		})
	}
}

// A third content that a power cut forgets does not count: of eight events that two
// servers told of differently, and then a third, none counts for whom the last one names.
func TestThirdContent(t *testing.T) {
	const source = "version: 1\nrules:\n  - {id: three, kind: achievement, when: {type: kill}, threshold: 3, prize: {item: hat}}\n"
	set, err := rulefile.Parse("three.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var h rulestest.History
	kill := func(id, player string) {
		r := rules.Record{
			Event: rules.Event{Server: "s", Region: "eu", ID: id, Type: rules.TypeKill, At: rulestest.Minutes(1), Player: player, Count: 1},
			Node:  "eu", Offset: uint64(len(h.Log) + 1), Instant: rulestest.Minutes(1),
		}
		r.Exactly(0)
		r.Content = r.Digest()
		h.Log = append(h.Log, r)
	}
	for cut := range 4 {
		for n := range 8 {
			switch cut {
			case 3: // two that count: with a forgotten third content they were three
				kill(fmt.Sprint("more", n), fmt.Sprint("cy", n))
				kill(fmt.Sprint("again", n), fmt.Sprint("cy", n))
			default:
				kill(fmt.Sprint(n), fmt.Sprint([]string{"ana", "bo", "cy"}[cut], n))
			}
		}
		through := rulestest.Minutes(30 * (cut + 1))
		h.Cuts = append(h.Cuts, rules.SimulatedCut{Ruleset: set, Cut: rules.Cut{
			Number: uint64(cut + 1), Kind: rules.HourCut, Through: through, AsOf: through, Ruleset: set.Digest, Receipts: []rules.Partition{},
			Nodes: []rules.NodeLine{{
				Node: "eu", Published: uint64(cut + 1), Offset: uint64(len(h.Log)), Watermark: through, State: rules.NodeLive,
				Regions: []rules.RegionMark{}, Silent: []rules.SilentServer{}, Lost: []rules.Span{}, Void: []rules.Span{},
			}},
		}})
	}
	conn := clickhousetest.New(t)
	newWorld(t, conn)
	if err := settletest.Check(context.Background(), conn, h, settletest.Way{Restart: true}); err != nil {
		t.Fatal(err)
	}
}
