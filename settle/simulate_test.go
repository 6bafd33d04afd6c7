package settle_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules/rulestest"
	"photofinish/settle/settletest"
)

// Whatever the history, the settlement that reads little appends byte for byte what the
// simulation decides, which reads everything anew at each cut and shares no SQL with
// it: in one process, with a fresh one for every cut, and with every row of the log
// inserted twice. PHOTOFINISH_HISTORIES asks for more rounds of each kind of history,
// PHOTOFINISH_FIRST_HISTORY for those from a number on; cmd/bench histories runs many.
func TestSimulation(t *testing.T) {
	rounds, first := 3, 0
	if n, err := strconv.Atoi(os.Getenv("PHOTOFINISH_HISTORIES")); err == nil {
		rounds = n
	}
	if n, err := strconv.Atoi(os.Getenv("PHOTOFINISH_FIRST_HISTORY")); err == nil {
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
