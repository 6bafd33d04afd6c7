package ingest

import "math/rand/v2"

// newRand gives the same numbers for the same seed, on every run.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
