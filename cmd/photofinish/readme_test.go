package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the README shows of a real day's logs is what its commands print, outcome IDs
// included: line by line and in order; … stands for anything.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Real logs, step by step")
	_, block, _ := strings.Cut(section, "```console\n")
	block, _, _ = strings.Cut(block, "\n```")
	t.Chdir("../..")
	data := filepath.Join(t.TempDir(), "data")
	rest, command, compared := "", "", 0
	for line := range strings.SplitSeq(block, "\n") {
		if args, ok := strings.CutPrefix(line, "$ ./photofinish "); ok {
			command = args
			rest = must(t, append(strings.Fields(args), "--data", data)...)
			continue
		}
		if strings.HasPrefix(line, "$ ") || line == "" {
			continue
		}
		for part := range strings.SplitSeq(line, "…") {
			_, after, found := strings.Cut(rest, part)
			if !found {
				t.Fatalf("photofinish %s does not print %q where the README has it; what is left:\n%.2000s", command, part, rest)
			}
			rest = after
			compared++
		}
	}
	if compared < 30 {
		t.Errorf("only %d parts of lines were compared", compared)
	}
}
