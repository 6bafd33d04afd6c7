package keys

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"photofinish/ingest/mutate"
)

// Whatever is presented, only the text itself is found, and what has an id has the form.
func FuzzFind(f *testing.F) {
	text, k, err := New(server("eu-1"), noon)
	if err != nil {
		f.Fatal(err)
	}
	s := NewStore(down{}, slog.New(slog.DiscardHandler), "")
	s.publish(map[string]Key{k.ID: k})
	f.Add(text)
	f.Add(text[:len(text)-1])
	f.Add(strings.ToUpper(text))
	f.Add(newText())
	f.Fuzz(func(t *testing.T, presented string) { findsItselfAlone(t, s, text, presented) })
}

func findsItselfAlone(t testing.TB, s *Store, text, presented string) {
	t.Helper()
	found, err := s.Find(t.Context(), presented)
	if (presented == text) != (err == nil) || err != nil && (!errors.Is(err, ErrUnknown) || found.ID != "") {
		t.Errorf("%q is found as %+v, %v", presented, found, err)
	}
	if id, ok := IDOf(presented); ok && !strings.HasPrefix(presented, prefix+id+"_") {
		t.Errorf("%q has the id %q", presented, id)
	}
}

// The same of very many texts near a key.
func TestMutated(t *testing.T) {
	text, k, err := New(server("eu-1"), noon)
	if err != nil {
		t.Fatal(err)
	}
	s := NewStore(down{}, slog.New(slog.DiscardHandler), "")
	s.publish(map[string]Key{k.ID: k})
	corpus := []string{text, text[:len(text)-1], strings.ToUpper(text), newText()}
	t.Run("keys", func(t *testing.T) {
		mutate.Run(t, os.Getenv, corpus, func(t testing.TB, _ *rand.Rand, presented []byte) {
			t.Helper()
			findsItselfAlone(t, s, text, string(presented))
		})
	})
}

// A wrong key costs what a right one does: one hash and one comparison.
func BenchmarkFind(b *testing.B) {
	text, k, err := New(server("eu-1"), noon)
	if err != nil {
		b.Fatal(err)
	}
	s := NewStore(down{}, slog.New(slog.DiscardHandler), "")
	s.publish(map[string]Key{k.ID: k})
	for name, presented := range map[string]string{"right": text, "unknown": newText(), "malformed": strings.Repeat("x", len(text))} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = s.Find(b.Context(), presented)
			}
		})
	}
}
