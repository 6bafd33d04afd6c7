package forward

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"photofinish/rules"
)

// The recipe for curl, against the sidecar and, with a key, against the node.
func TestPushScript(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	n := newNode(t)
	s := start(t, n, t.TempDir())
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(serverKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	push := func(url, key, event string) (string, int) {
		cmd := exec.Command("../../../configs/push.sh", event)
		cmd.Env = append(os.Environ(), "PF_URL="+url, "PF_KEY_FILE="+key, "PF_TRIES=1")
		out, _ := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
	}
	fixed := `{"id":"x","at":"2026-11-21T07:00:00Z","type":"kill","player":"ana"}`
	for _, c := range []struct {
		name, url, key, event, says string
		code                        int
	}{
		{"sidecar", s.url, "", `{"type":"kill","player":"ana's \"pet\""}`, `{"accepted":1,"duplicates":0,"rejected":[]}`, 0},
		{"again", s.url, "", fixed, `"accepted":1`, 0},
		{"and again", s.url, "", fixed, `"duplicates":1`, 0},
		{"node", n.url, keyFile, `{"type":"heartbeat"}`, `"accepted":1`, 0},
		{"refused", s.url, "", `{"type":"purchase","player":"ana"}`, "sku", 1},
		{"no key", n.url, "", fixed, "a key is needed", 1},
		{"nobody", "http://127.0.0.1:1", "", fixed, "try again: push.sh '" + fixed[:1], 3},
		{"usage", s.url, "", "", "usage", 2},
	} {
		if out, code := push(c.url, c.key, c.event); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit status %d, want %d: %s", c.name, code, c.code, out)
		}
	}
	n.await(t, func() bool { return n.taken["x"].Player == "ana" })
}

// The client for Unity compiles by itself, and what a game gives it gets through the
// sidecar to the node, in order, with odd texts whole; and to a node with a key.
func TestUnityClient(t *testing.T) {
	for _, tool := range []string{"mcs", "mono"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no C# compiler: %s is not installed (Debian: mono-mcs, mono-runtime, libmono-system-net-http4.0-cil)", tool)
		}
	}
	game := filepath.Join(t.TempDir(), "game.exe")
	out, err := exec.Command("mcs", "-langversion:6", "-warnaserror", "-r:System.Net.Http", "-out:"+game,
		"../../../configs/unity/Photofinish.cs", "testdata/Game.cs").CombinedOutput()
	if err != nil {
		t.Fatalf("mcs: %v\n%s", err, out)
	}
	n := newNode(t)
	s := start(t, n, t.TempDir())
	for name, args := range map[string][]string{"sidecar": {s.url}, "node": {n.url, serverKey}} {
		n.mu.Lock()
		clear(n.taken)
		n.mu.Unlock()
		out, err := exec.Command("mono", append([]string{game}, args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "flushed") || strings.Contains(string(out), "not flushed") ||
			!strings.Contains(string(out), "refused ") || !strings.Contains(string(out), `"error":"player`) || strings.Contains(string(out), "trouble") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		n.await(t, func() bool {
			hares := 0
			for _, e := range n.taken {
				if e.Target == "hare" {
					hares++
				}
			}
			return hares == 1000
		})
		n.mu.Lock()
		checkGame(t, name, n.taken)
		n.mu.Unlock()
	}
}

func checkGame(t *testing.T, name string, taken map[string]rules.Event) {
	instants := map[rules.Instant]string{}
	kills, purchases := 0, 0
	for id, e := range taken {
		if e.Type == rules.TypeHeartbeat {
			continue
		}
		if other, same := instants[e.At]; same {
			t.Errorf("%s: %s and %s happened at the same instant", name, id, other)
		}
		instants[e.At] = id
		if e.Player == "ana" {
			kills++
			if e.Guild != "red" || e.Count != 2 || e.Attrs["name"] != "Ana \"\\😀\ufffd" {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if e.Player == "bo" && e.SKU == "celestial-mount" && e.Type == rules.TypePurchase {
			purchases++
		}
	}
	if kills != 1 || purchases != 1 {
		t.Errorf("%s: %d kills of ana, %d purchases of bo", name, kills, purchases)
	}
}
