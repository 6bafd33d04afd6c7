package demo

import (
	"strings"
	"testing"
)

// The same seed tells the same story, and the first one tells all of it.
func TestStory(t *testing.T) {
	first, text := play(t, 1, 6)
	second, again := play(t, 1, 6)
	if text != again {
		t.Fatalf("the same seed gave two stories:\n%s\n%s", text, again)
	}
	if first.Faults != second.Faults {
		t.Fatalf("the same seed gave two kinds of trouble: %+v, %+v", first.Faults, second.Faults)
	}
	text = strings.Join(strings.Fields(text), " ")
	for _, want := range []string{
		"PHOTO FINISH First to slay 1,000 rabbits: Ana at", "and Bo at", "so they share it",
		"held First to slay 1,000 rabbits: Ana", "held First guild to slay 50 dragons: Iron Wolves",
		"awarded First guild to slay 50 dragons: Iron Wolves", "gets it too",
		"it named Iron Wolves, and Jade Lotus was first", "Jade Lotus gets dragon-banner",
		"SOLD OUT", "Three celestial mounts: 3 of 3 reserved", "new board", "CONFLICT", "<script>alert(1)</script> gets ribbon",
		"not heard of: asia, asia-1, asia-2, asia-3", "not heard of: us", "(region eu): Dara at", "sealed",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(again)
	}
}
