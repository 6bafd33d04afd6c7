package demo

import (
	"bytes"
	"testing"

	"photofinish/announce"
)

// What the network does to requests and answers changes nothing that is decided: a world
// whose network loses nothing has the same reports, to the byte, and sends nothing again
// but what a crash left without an answer.
func TestNetworkChangesNothing(t *testing.T) {
	const hours = 3 // with a region cut off, and a node that crashes over a request
	reports := func(good bool) (*World, string) {
		w, text := playIn(t, Config{Seed: 4, Hours: hours, good: good})
		var all bytes.Buffer
		if err := announce.WriteAllJSON(&all, w.Reports()); err != nil {
			t.Fatal(err)
		}
		return w, text + all.String()
	}
	bad, inBad := reports(false)
	good, inGood := reports(true)
	if inBad != inGood {
		t.Errorf("the network changed what was decided:\n%s\n%s", inBad, inGood)
	}
	f := &bad.Faults
	lost := f.AnswersLost + f.RequestsCut + f.RequestsLate
	if f.AnswersLost == 0 || f.RequestsCut == 0 || f.RequestsLate == 0 || f.Retries != lost+1 {
		t.Errorf("the bad network did %+v; each of %d losses and one crash is a request sent again", *f, lost)
	}
	if g := &good.Faults; g.Retries != 1 || g.Requests != f.Requests-lost {
		t.Errorf("over the good network: %+v, over the bad one: %+v", *g, *f)
	}
}
