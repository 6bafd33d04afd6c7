package mutate

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
)

// A text follows from its seed and number alone, so that a run can be cut into parts.
func TestParts(t *testing.T) {
	var whole, parts [][]byte
	corpus := []string{"one", "another, longer one", ""}
	run := func(from, runs int, to *[][]byte) {
		variables := map[string]string{From: strconv.Itoa(from), Runs: strconv.Itoa(runs), Seed: "7"}
		Run(t, func(name string) string { return variables[name] }, corpus, func(_ testing.TB, _ *rand.Rand, text []byte) {
			*to = append(*to, bytes.Clone(text))
			clear(text) // who is given a text may do with it what they like
		})
	}
	run(0, 300, &whole)
	run(0, 100, &parts)
	run(100, 200, &parts)
	distinct := map[string]bool{}
	for i := range whole {
		if !bytes.Equal(whole[i], parts[i]) {
			t.Fatalf("text %d is %q and then %q", i, whole[i], parts[i])
		}
		distinct[string(whole[i])] = true
	}
	if len(distinct) < 150 {
		t.Errorf("only %d of 300 texts differ", len(distinct))
	}
}
