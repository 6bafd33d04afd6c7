// Package mutate checks a property on very many inputs. Each follows from a seed and a
// number alone: a run can be cut into parts, go on where it ended, and be repeated. It knows
// nothing of what it covers, which Go's own fuzzing does; but it takes microseconds an
// input where that, in a program of this size, reads the counters of everything linked.
//
// Tests alone import it. go run ./cmd/bench fuzz runs them at any length.
package mutate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// Variables that a run reads by the function that it is given.
const (
	Runs = "PFTEST_RUNS" // how many inputs; DefaultRuns
	From = "PFTEST_FROM" // the number of the first: 0
	Seed = "PFTEST_SEED" // 1
)

// DefaultRuns is how many inputs a test takes where nobody wants more.
const DefaultRuns = 2000

// A Property is checked on one text. What else it needs it takes from r. It fails t where
// it does not hold, and may be called any number of times with the same t.
type Property func(t testing.TB, r *rand.Rand, text []byte)

// Run checks a property on texts that are made of a corpus, which is not changed. Lookup
// gives the variables, as os.Getenv does. It stops at the first failure and names its
// number.
func Run(t *testing.T, lookup func(string) string, corpus []string, property Property) {
	t.Helper()
	number := func(name string, otherwise uint64) uint64 {
		text := lookup(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s=%s is no number", name, text)
		}
		return n
	}
	from, seed := number(From, 0), number(Seed, 1)
	for i := from; i < from+number(Runs, DefaultRuns); i++ {
		one(t, seed, i, corpus, property)
	}
}

func one(t *testing.T, seed, number uint64, corpus []string, property Property) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, number))
	text := Text(r, corpus)
	given := slices.Clone(text)
	defer func() {
		problem := recover()
		if problem != nil {
			t.Errorf("panic: %v", problem)
		}
		if t.Failed() {
			t.Fatalf("%s of seed %d, %q", fmt.Sprintf("%s=%d %s=1", From, number, Runs), seed, given)
		}
	}()
	property(t, r, text)
}

const (
	maxText    = 64 << 10 // bytes
	maxChanges = 8
	maxPart    = 64 // bytes that one change takes, doubles or brings
)

// bytesOfInterest are those that formats give a meaning.
const bytesOfInterest = "{}[]\":,\\ \t\r\n0123456789.-+eEtfnZTu<>()/_\x00\x1f\x7f\x80\xc3\xa9\xff"

// Text returns a text of the corpus with some changes: bytes that are others, more or
// fewer, parts that are gone, doubled, or of another text.
func Text(r *rand.Rand, corpus []string) []byte {
	text := []byte(corpus[r.IntN(len(corpus))])
	for range r.IntN(maxChanges + 1) {
		at := r.IntN(len(text) + 1)
		end := min(at+1+r.IntN(maxPart), len(text))
		switch r.IntN(7) { //nolint:mnd // the cases
		case 0:
			text = slices.Insert(text, at, bytesOfInterest[r.IntN(len(bytesOfInterest))])
		case 1:
			text = slices.Delete(text, at, end)
		case 2:
			text = slices.Insert(text, at, slices.Clone(text[at:end])...)
		case 3:
			other := corpus[r.IntN(len(corpus))]
			part := r.IntN(len(other) + 1)
			text = slices.Insert(text, at, []byte(other[part:min(part+maxPart, len(other))])...)
		case 4:
			if at < len(text) {
				text[at] ^= 1 << r.IntN(8)
			}
		case 5:
			if at < len(text) {
				text[at] = bytesOfInterest[r.IntN(len(bytesOfInterest))]
			}
		default:
			text = text[:max(at, len(text)-maxPart)]
		}
	}
	return text[:min(len(text), maxText)]
}
