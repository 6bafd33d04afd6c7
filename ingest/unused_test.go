package ingest

import (
	"fmt"
	"testing"

	"photofinish/rules"
)

// What servers say of numbers that they gave to no event is published: the last that each
// said, over starts of the node too, of the servers that spoke of any last. What is no span
// is left out.
func TestUnusedNumbersArePublished(t *testing.T) {
	conn, dir := newLog(t), t.TempDir()
	n, _ := openNode(t, conn, Config{Dir: dir})
	beat := func(server, void string) {
		t.Helper()
		accept(t, n, server, rules.Event{Type: rules.TypeHeartbeat, At: event("", 0).At, Attrs: map[string]string{AttrVoid: void}})
	}
	want := func(want string) {
		t.Helper()
		forwardNow(t, n)
		w, err := n.word(t.Context(), n.cfg.Node)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, u := range w.unused {
			text += fmt.Sprintf("%s %d-%d;", u.Server, u.First, u.Last)
		}
		if len(text) > 200 {
			text = fmt.Sprintf("%s … of %d", text[:12], len(w.unused))
		}
		if text != want {
			t.Fatalf("published %q, want %q", text, want)
		}
	}
	accept(t, n, "a", events(1, 1)...)
	want("")
	beat("b", "7-9,20-20")
	beat("a", "5-6,x-9,9-8,0-5,7,1-18446744073709551615")
	want("a 5-6;b 7-9;b 20-20;")
	_ = n.Close()
	n, _ = openNode(t, conn, Config{Dir: dir})
	want("a 5-6;b 7-9;b 20-20;")
	beat("b", "7-9,20-30")
	want("a 5-6;b 7-9;b 20-30;")
	for i := range maxUnusedServers {
		beat(fmt.Sprintf("s%02d", i), "3-4")
	}
	want(fmt.Sprintf("s00 3-4;s01  … of %d", maxUnusedServers))
}
