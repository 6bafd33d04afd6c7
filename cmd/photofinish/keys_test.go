package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// A key is shown once, listed without its secret, replaced while it works and revoked;
// what cannot be done is refused with the exit code 2.
func TestKeys(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var made, next struct{ ID, Key, Server, Timezone, Replaces string }
	read := func(out string, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(out), v); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	read(must(t, "keys", "create", "--data", data, "--server", "cs-1", "--region", "eu", "--json"), &made)
	if !strings.HasPrefix(made.Key, "pf_"+made.ID+"_") || made.Server != "cs-1" || made.Timezone != "UTC" {
		t.Errorf("created %+v", made)
	}
	read(must(t, "keys", "rotate", made.ID, "--data", data, "--json"), &next)
	if next.Replaces != made.ID || next.Key == made.Key || next.Server != "cs-1" {
		t.Errorf("rotated to %+v", next)
	}
	// Standard output may be the file of the key, which holds nothing else.
	out, says, code := photofinish(t, "keys", "create", "--data", data, "--role", "operator")
	if code != exitDone || !strings.HasPrefix(out, "pf_") || strings.Count(out, "\n") != 1 || !strings.Contains(says, "shown this once") {
		t.Errorf("an operator's key: exit code %d, %q, %q", code, out, says)
	}
	// Who gives the whole key instead of its id has it revoked all the same.
	if out := must(t, "keys", "revoke", made.Key, "--data", data); !strings.Contains(out, made.ID+" is revoked since ") {
		t.Errorf("revoke says %s", out)
	}
	list := must(t, "keys", "list", "--data", data)
	if strings.Count(list, "\n") != 3 || strings.Count(list, "revoked") != 1 || strings.Contains(list, "pf_") {
		t.Errorf("the list:\n%s", list)
	}
	var listed []struct {
		ID, Role, Key string
		Revoked       *string
	}
	read(must(t, "keys", "list", "--data", data, "--json"), &listed)
	if len(listed) != 3 || listed[0].Role != "operator" || listed[1].ID != made.ID || listed[1].Revoked == nil || listed[2].Revoked != nil || listed[2].Key != "" {
		t.Errorf("the list as JSON: %+v", listed)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for _, wrong := range []struct {
		args []string
		says string
	}{
		{[]string{"create", "--data", nowhere, "--region", "eu"}, "--server NAME"},
		{[]string{"create", "--data", nowhere, "--server", "a", "--region", "eu", "--timezone", "Mars"}, "timezone"},
		{[]string{"create", "--data", nowhere, "--role", "consumer", "--server", "a"}, "only the role server"},
		{[]string{"create", "--data", nowhere, "--role", "root"}, "is not server, consumer or operator"},
		{[]string{"create", "--data", data, "--server", "cs-1", "--region", "us"}, "another region"},
		{[]string{"rotate", "--data", data, made.ID}, "it is revoked"},
		{[]string{"revoke", "--data", data, "0000000000000000"}, "keys list"},
		{[]string{"revoke", "--data", data, "0000000000000000"}, "keys revoke --force ID"},
		{[]string{"revoke", "--data", data, "cs-1", "--force"}, "an id has 16 digits"},
		{[]string{"list", "--data", nowhere}, "no data folder"},
		{[]string{"destroy"}, "keys create, list, rotate or revoke"},
	} {
		if _, problems, code := photofinish(t, append([]string{"keys"}, wrong.args...)...); code != exitUsage || !strings.Contains(problems, wrong.says) {
			t.Errorf("keys %v: exit code %d: %s", wrong.args, code, problems)
		}
	}
	// One that the tables have lost.
	const lost = "00000000000000aa"
	if out := must(t, "keys", "revoke", lost, "--force", "--data", data); !strings.Contains(out, lost+" is revoked since ") {
		t.Errorf("revoke --force says %s", out)
	}
	if list := must(t, "keys", "list", "--data", data); !strings.Contains(list, lost+": nothing else is known of it, revoked ") {
		t.Errorf("the list:\n%s", list)
	}
}
