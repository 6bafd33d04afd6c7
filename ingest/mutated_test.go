package ingest

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"photofinish/ingest/mutate"
)

// Each property that is fuzzed, of very many texts that are nearly right.
func TestMutated(t *testing.T) {
	events := []string{
		fullEvent, sampleEvent,
		`{"id":"1","type":"kill","at":"2026-11-21T07:00:00Z","player":"p","attrs":{"a":-0.1e+5,"b":false}}`,
	}
	clouds := []string{
		strings.Replace(sampleCloudEvent, "eu-1", "s", 1),
		`{"specversion":"1.0","id":"1","source":"s","type":"a.kill","time":"2026-11-21T07:00:00Z","x":[[],{}],"data":{"player":"p"}}`,
	}
	for _, c := range []struct {
		name     string
		corpus   []string
		property mutate.Property
	}{
		{"events", events, func(t testing.TB, r *rand.Rand, text []byte) {
			t.Helper()
			if r.IntN(2) == 0 {
				text = almost(r)
			}
			text = text[:min(len(text), MaxLineBytes)]
			asStrict(t, text)
			readAsJSON(t, text)
		}},
		{"cloudevents", clouds, func(t testing.TB, r *rand.Rand, text []byte) {
			t.Helper()
			if r.IntN(2) == 0 {
				text = almost(r)
			}
			text = text[:min(len(text), MaxLineBytes)]
			cloudAsStrict(t, text)
			readAsJSON(t, text)
		}},
		{"arrays", []string{`[]`, `[1, {"a":[2,"]"]} ,"\"],["]`, ` [ "\\" , [[],{}] ] `, `[{"id":"1"},{"id":"2"}]`}, func(t testing.TB, _ *rand.Rand, text []byte) {
			t.Helper()
			splitsAsJSON(t, string(text))
		}},
		{"instants", []string{"2026-11-21T07:00:00.123456789Z", "2000-02-29T23:59:59.000000001Z", "2100-03-01T00:00:00Z", "2026-11-21T07:00:00+01:00"}, func(t testing.TB, _ *rand.Rand, text []byte) {
			t.Helper()
			instantAsParsed(t, string(text))
		}},
		{"records", []string{string(sampleRecord())}, func(t testing.TB, _ *rand.Rand, text []byte) {
			t.Helper()
			comesBack(t, text)
		}},
		{"source-line", pieces(), func(t testing.TB, r *rand.Rand, text []byte) {
			t.Helper()
			forgesNothing(t, r.Int(), string(mutate.Text(r, pieces())), string(text))
		}},
	} {
		t.Run(c.name, func(t *testing.T) { mutate.Run(t, os.Getenv, c.corpus, c.property) })
	}
}
