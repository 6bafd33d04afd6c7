package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func lackText(lacks []Lack, more uint64) string {
	text := ""
	for _, l := range lacks {
		text += l.Server
		if l.Sparse {
			text += " sparse"
		}
		if l.Older {
			text += " older"
		}
		for _, g := range l.Gaps {
			text += fmt.Sprintf(" %d-%d", g.First, g.Last)
		}
		text += "; "
	}
	if more > 0 {
		text += fmt.Sprintf("%d more", more)
	}
	return text
}

// numbered takes numbers of a server in, cut by cut.
type numbered struct {
	Numbering
	cut   uint64
	lacks []Lack
	more  uint64
}

func (n *numbered) take(asOf Instant, numbers map[string][]uint64) string {
	n.cut++
	n.lacks, n.more = Lacks(n.lacks, n.Take(&Cut{}, &Cut{Number: n.cut}, numbers), asOf)
	return lackText(n.lacks, n.more)
}

func upTo(first, last uint64) []uint64 {
	var all []uint64
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// What does not come is lacked from the cut on in which its server went on, until it comes;
// what lies before the first number is not, nor is what a server jumps over that had not
// sent as many.
func TestLacks(t *testing.T) {
	const day = Instant(24 * time.Hour)
	var n numbered
	for i, c := range []struct {
		asOf    Instant
		numbers map[string][]uint64
		want    string
	}{
		{0, map[string][]uint64{"eu-3": upTo(101, 200), "none": {0, 0}}, ""},
		{0, map[string][]uint64{"eu-3": {208, 201, 208, 0, 7}}, "eu-3 202-207; "},
		{day, nil, "eu-3 202-207; "},
		{day, map[string][]uint64{"eu-3": {205, 215}}, "eu-3 202-204 206-207 209-214; "},
		{day, map[string][]uint64{"eu-3": upTo(201, 206), "us": {3, 50}}, "eu-3 207-207 209-214; us sparse 4-49; "},
		{day, map[string][]uint64{"eu-3": {207}, "us": upTo(51, 100)}, "eu-3 209-214; us 4-49; "}, // most of it has come by now
		{30 * day, map[string][]uint64{"eu-3": {217}}, "eu-3 209-214 216-216; us 4-49; "},
		{31 * day, nil, "eu-3 216-216; "}, // nobody sends the others any more
		{31 * day, map[string][]uint64{"eu-3": {210, 216}}, ""},
	} {
		if got := n.take(c.asOf, c.numbers); got != c.want {
			t.Fatalf("cut %d: %q, want %q", i+1, got, c.want)
		}
	}
}

// A server of which nothing came in NumberedCuts cuts is new; until then it goes on.
func TestLacksOfASilentServer(t *testing.T) {
	for _, quiet := range []uint64{NumberedCuts - 1, NumberedCuts} {
		n := numbered{}
		n.take(0, map[string][]uint64{"s": upTo(1, 9)})
		n.cut += quiet
		if got, want := n.take(0, map[string][]uint64{"s": upTo(11, 20)}), quiet < NumberedCuts; (got == "s 10-10; ") != want {
			t.Errorf("after %d cuts: %q", quiet, got)
		}
	}
}

// Lines of a log are numbers that leave out most, in whatever bursts they come: nothing is
// told of them, and they take no room from servers that number without holes.
func TestLacksOfSparseNumbers(t *testing.T) {
	n, all := numbered{}, map[string][]uint64{}
	for s := range 3 * MaxLacks {
		server := fmt.Sprintf("a%03d", s)
		for burst := uint64(1); burst < 2000; burst += 20 {
			all[server] = append(all[server], upTo(burst, burst+8)...)
		}
	}
	all["whole"] = append(upTo(1, 50), 52)
	n.take(0, all)
	for _, l := range n.lacks {
		if l.Sparse == (l.Server == "whole") {
			t.Errorf("%+v", l)
		}
	}
	if len(n.lacks) != MaxLacks || n.more != 0 || n.lacks[MaxLacks-1].Server != "whole" {
		t.Errorf("%d servers, %d more, the last is %s", len(n.lacks), n.more, n.lacks[len(n.lacks)-1].Server)
	}
}

// However much is missing, a bounded part of it is kept: the newest of a server, and the
// number of the servers that are left out.
func TestLacksAreBounded(t *testing.T) {
	n, all := numbered{}, map[string][]uint64{}
	for s := range MaxLacks + 7 {
		all[fmt.Sprintf("s%03d", s)] = []uint64{1, 2, 3, 4, 6}
	}
	for i := range uint64(3 * MaxRuns) {
		all["s000"] = append(all["s000"], 10+4*i, 11+4*i, 12+4*i)
	}
	n.take(0, all)
	if len(n.lacks) != MaxLacks || n.more != 7 {
		t.Errorf("%d servers, %d more", len(n.lacks), n.more)
	}
	last := uint64(10 + 4*(3*MaxRuns-1) - 1)
	if l := n.lacks[0]; len(l.Gaps) != MaxGaps || !l.Older || l.Sparse || l.Gaps[MaxGaps-1].Last != last {
		t.Errorf("%+v, the last gap ends at %d", l, last)
	}
	n = numbered{}
	if got, want := n.take(0, map[string][]uint64{"s": {1, math.MaxUint64}}), fmt.Sprintf("s sparse 2-%d; ", uint64(math.MaxUint64-1)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Against the set of all numbers, cut by cut, for numbers that come in random order: as
// long as no gap had to be forgotten, exactly what did not come is missing.
func TestLacksAreExact(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(5, seed))
		n, came, first := numbered{}, map[uint64]bool{}, uint64(0)
		for range 8 {
			var numbers []uint64
			for range random.IntN(30) {
				numbers = append(numbers, 100+random.Uint64N(40))
			}
			for _, number := range numbers {
				came[number] = true
			}
			if first == 0 && len(numbers) > 0 {
				first = slices.Min(numbers)
			}
			n.take(0, map[string][]uint64{"s": numbers})
			if len(n.lacks) > 0 && n.lacks[0].Older {
				break
			}
			missing := map[uint64]bool{}
			for _, l := range n.lacks {
				for _, g := range l.Gaps {
					for number := g.First; number <= g.Last; number++ {
						missing[number] = true
					}
				}
			}
			last := uint64(0)
			for number := range came {
				last = max(last, number)
			}
			for number := first; first > 0 && number <= last; number++ {
				if came[number] == missing[number] {
					t.Fatalf("seed %d: %d came: %t, missing: %t: %s", seed, number, came[number], missing[number], lackText(n.lacks, 0))
				}
			}
		}
	}
}
