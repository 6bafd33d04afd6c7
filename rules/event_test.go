package rules_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"photofinish/rules"
)

// A digest is kept for ever, so it is what it was: the text is that of another program,
// which hashed the same fields. Whatever differs in an event differs in it, also where only
// the end of one field and the beginning of the next do.
func TestDigest(t *testing.T) {
	e := rules.Event{
		Server: "eu-1", Region: "eu", ID: "k-1", Type: rules.TypeKill, At: 1700000000000000000, Player: "Ana", Guild: "Owls",
		Target: "rabbit", Count: 3, Price: rules.Money{Amount: -250, Currency: "EUR"}, Seq: 7,
		Attrs: map[string]string{"weapon": "bow", "at": "Köln"},
	}
	digest := e.Digest()
	if got := hex.EncodeToString(digest[:]); got != "88333cb7cfa9da6a8f81ff4bca3c9f36" {
		t.Errorf("the digest is %s", got)
	}
	seen := map[rules.Content]string{digest: "itself"}
	for name, change := range map[string]func(*rules.Event){
		"a longer id":         func(e *rules.Event) { e.ID, e.Type = "k-1k", "ill" },
		"another time":        func(e *rules.Event) { e.At++ },
		"another number":      func(e *rules.Event) { e.Seq++ },
		"no attributes":       func(e *rules.Event) { e.Attrs = nil },
		"a longer name":       func(e *rules.Event) { e.Attrs = map[string]string{"weaponb": "ow", "at": "Köln"} },
		"many attributes":     func(e *rules.Event) { e.Attrs = many("a") },
		"many others":         func(e *rules.Event) { e.Attrs = many("b") },
		"more than has place": func(e *rules.Event) { e.Player = strings.Repeat("n", 1000) },
		"one more":            func(e *rules.Event) { e.Player = strings.Repeat("n", 1001) },
	} {
		other := e
		change(&other)
		d := other.Digest()
		if d != other.Digest() {
			t.Errorf("%s: the digest is not always the same", name)
		}
		if before, known := seen[d]; known {
			t.Errorf("%s has the digest of %s", name, before)
		}
		seen[d] = name
	}
}

func many(value string) map[string]string {
	attrs := map[string]string{}
	for _, name := range strings.Split("abcdefghijklmnop", "") {
		attrs[name] = value
	}
	return attrs
}
