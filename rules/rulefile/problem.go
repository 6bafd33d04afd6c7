package rulefile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a rules file.
type Problem struct {
	Line    int    `json:"line"`    // from 1
	Column  int    `json:"column"`  // in characters, from 1
	Rule    string `json:"rule"`    // the rule's id; "#3" for the third rule where that cannot be used; "" outside the rules
	Field   string `json:"field"`   // the path in the rule or file, such as "prizes[2].places", counting from 1; "" is the whole
	Message string `json:"message"` // complete with the value found
}

// String formats as `12:16: rule "rabbit-slayer": threshold: must be …`.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	if number, ok := strings.CutPrefix(p.Rule, "#"); ok {
		fmt.Fprintf(&b, "rule %s: ", number)
	} else if p.Rule != "" {
		fmt.Fprintf(&b, "rule %q: ", p.Rule)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Error is why a rules file was refused: every problem, in file order.
type Error struct {
	Name     string // the file, as Parse was told
	Problems []Problem
}

// Error writes one problem a line, each after the file's name.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
		if e.Name != "" {
			lines[i] = e.Name + ":" + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

func newError(name string, problems []Problem) *Error {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return &Error{Name: name, Problems: problems}
}

// reporter collects the problems of one file. The rule is the one being read.
type reporter struct {
	rule     string
	problems []Problem
}

func (r *reporter) add(line, column int, field, format string, args ...any) {
	r.problems = append(r.problems, Problem{line, column, r.rule, field, fmt.Sprintf(format, args...)})
}

// quote quotes a text from the file for a message, escaped and cut to a length that
// fits a terminal's line.
func quote(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

// either lists words as in "a, b or c".
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// suggest returns `; did you mean "threshold"?` for the known word nearest to the
// one found, the first of equals; it is empty where none is near.
func suggest(found string, known []string) string {
	if len(found) > MaxRuleIDBytes {
		return ""
	}
	plain := strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(found))
	best, nearest := "", 0
	for _, word := range known {
		d := Distance(plain, word)
		if d <= (len(word)+1)/3 && (best == "" || d < nearest) {
			best, nearest = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// Distance is the Levenshtein distance in bytes: how many must be put in, left out
// or changed to make one of the other.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
