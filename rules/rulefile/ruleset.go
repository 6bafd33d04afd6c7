package rulefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"photofinish/rules"
)

// The limits of a rules file. They are far above what a person writes and keep a
// hostile file cheap to refuse.
const (
	MaxBytes       = 1 << 20 // of the whole file
	MaxRules       = 1000
	MaxTextBytes   = 256 // of any text in it: titles, items, the values of conditions
	MaxRuleIDBytes = 64
)

// The version of the format that Parse reads.
const rulesetVersion = "1"

// Parse reads a rules file. The name stands before every problem, as a
// file's name would; it has no other meaning. The source is not retained.
//
// The ruleset is complete: every default is filled in, and the conditions of a sale
// say what its sku says (type purchase, that sku). Reading the same source twice
// gives equal rulesets.
//
// Any error is a *Error that holds every problem of the file at once, except
// that a file which is not YAML, or breaks a limit of the whole file, has that one
// problem only.
func Parse(name string, source []byte) (*rules.Ruleset, error) {
	report := &reporter{}
	root, ok := readYAML(report, source)
	var parsed []rules.Rule
	if ok {
		parsed = readRuleset(report, root)
	}
	if len(report.problems) > 0 {
		return nil, newError(name, report.problems)
	}
	digest := sha256.Sum256(source)
	return &rules.Ruleset{
		Digest: "sha256:" + hex.EncodeToString(digest[:]),
		Source: bytes.Clone(source),
		Rules:  parsed,
	}, nil
}

func readRuleset(report *reporter, root *yamlNode) []rules.Rule {
	top := cursor{report: report, node: root}
	if root.form != formMapping {
		top.must("a mapping with version and rules")
		return nil
	}
	file := top.object("version", "rules")
	if version, ok := file.require("version"); ok {
		if version.node.text != rulesetVersion {
			version.must(rulesetVersion + ", the only version there is")
		}
	}
	list, ok := file.require("rules")
	if !ok {
		return nil
	}
	items := list.items("rules", MaxRules)
	parsed := make([]rules.Rule, 0, len(items))
	lines := map[string]int{} // the line of each id seen
	for i, item := range items {
		item.path = ""
		report.rule = ruleName(item.node, i+1)
		r, id := readRule(item)
		if id.node != nil && lines[r.ID] > 0 {
			id.problem("%q is the id of the rule on line %d already", r.ID, lines[r.ID])
		} else if id.node != nil {
			lines[r.ID] = id.node.line
		}
		parsed = append(parsed, r)
	}
	refuseOverlaps(report, items, parsed)
	report.rule = ""
	return parsed
}

// ruleName returns what problems call the rule: its id, or its number where it has
// no id that could be used.
func ruleName(node *yamlNode, number int) string {
	for _, e := range node.entries {
		if e.key == "id" && e.value.form == formText && validID(e.value.text) {
			return e.value.text
		}
	}
	return fmt.Sprintf("#%d", number)
}

func validID(id string) bool {
	for _, c := range []byte(id) {
		if !letterOrDigit(c) && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= MaxRuleIDBytes
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
