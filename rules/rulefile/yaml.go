package rulefile

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlNode is a value of a rules file with its place: the part of YAML that rules
// are written in. Scalars keep their written text, whatever YAML would make of it.
type yamlNode struct {
	line, column int
	form         yamlForm
	text         string      // of formText
	list         []*yamlNode // of formList
	entries      []yamlEntry // of formMapping, in file order; keys may repeat
}

type yamlEntry struct {
	key          string
	line, column int // of the key
	value        *yamlNode
}

type yamlForm int

const (
	formBroken yamlForm = iota // reported already: to be passed over in silence
	formText
	formNull
	formList
	formMapping
)

// is says what was found, to end a message.
func (n *yamlNode) is() string {
	switch n.form {
	case formNull:
		return "is empty"
	case formList:
		return "is a list"
	case formMapping:
		return "is a mapping"
	}
	return "is " + quote(n.text)
}

// readYAML reads the one document of a rules file. Not ok: it cannot be read, and
// the one reason is reported.
func readYAML(report *reporter, source []byte) (root *yamlNode, ok bool) {
	if !readable(report, source) {
		return nil, false
	}
	// The YAML reader is not ours and this is hostile input: should it panic on a
	// file, that file is refused and nothing else suffers.
	defer func() {
		if recover() != nil {
			report.add(1, 1, "", "cannot be read as YAML")
			root, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(string(source))
	if tk := outOfShape(tokens); tk != nil {
		report.add(tk.Position.Line, tk.Position.Column, "", "is nested too deeply, or one mapping or list has over %d entries, or the file over %d keys", maxEntries, maxKeys)
		return nil, false
	}
	if tk := secondDocument(tokens); tk != nil {
		report.add(tk.Position.Line, tk.Position.Column, "", "a rules file is one YAML document; here begins another")
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		// Its own text is not asked for: that prints the source, in quadratic time.
		line, column, message := 1, 1, "it cannot be read"
		var located yaml.Error
		if errors.As(err, &located) {
			message = located.GetMessage()
			if tk := located.GetToken(); tk != nil && tk.Position != nil {
				line, column = tk.Position.Line, tk.Position.Column
			}
		}
		visible := strings.NewReplacer("\t", `\t`, "\r", `\r`, "\n", `\n`)
		report.add(line, column, "", "is not YAML: %s", visible.Replace(message))
		return nil, false
	}
	return oneDocument(report, file)
}

// readable refuses what no YAML file may be, before the YAML reader sees it.
func readable(report *reporter, source []byte) bool {
	if len(source) > MaxBytes {
		report.add(1, 1, "", "a rules file may have %d bytes, this one has %d", MaxBytes, len(source))
		return false
	}
	for at := 0; at < len(source); {
		r, size := utf8.DecodeRune(source[at:])
		bad := ""
		switch {
		case r == utf8.RuneError && size == 1:
			bad = "is not UTF-8 text"
		case r == '\r' && !bytes.HasPrefix(source[at:], []byte("\r\n")):
			bad = "has a carriage return inside a line"
		case r == '\ufeff':
			bad = "has a byte order mark; save the file as UTF-8 without it"
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r':
			bad = "has a control character"
		}
		if bad != "" {
			before := source[:at]
			start := bytes.LastIndexByte(before, '\n') + 1
			report.add(bytes.Count(before, []byte("\n"))+1, utf8.RuneCount(before[start:])+1, "", "%s", bad)
			return false
		}
		at += size
	}
	return true
}

// secondDocument returns the second mark of a document's beginning, or of its end,
// or nil. The YAML reader takes quadratic time over many documents.
func secondDocument(tokens token.Tokens) *token.Token {
	begins, ends := 0, 0
	for _, tk := range tokens {
		if tk.Position == nil {
			continue
		}
		switch tk.Type {
		case token.DocumentHeaderType:
			begins++
		case token.DocumentEndType:
			ends++
		}
		if begins > 1 || ends > 1 {
			return tk
		}
	}
	return nil
}

// oneDocument returns the file's document. One may yet follow another that is
// marked as ended.
func oneDocument(report *reporter, file *ast.File) (*yamlNode, bool) {
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if _, ok := doc.Body.(*ast.DirectiveNode); ok {
			line, column := position(doc.Body)
			report.add(line, column, "", "directives (%%) are not read here")
			return nil, false
		}
		if body != nil {
			line, column := position(doc.Body)
			report.add(line, column, "", "a rules file is one YAML document; here begins another")
			return nil, false
		}
		body = doc.Body
	}
	if body == nil {
		report.add(1, 1, "", "the file is empty: a rules file has version and rules")
		return nil, false
	}
	return convert(report, body), true
}

// convert copies a node of the YAML reader, refusing what could make a small file
// mean a large one or a value mean something other than its text.
func convert(report *reporter, node ast.Node) *yamlNode {
	n := &yamlNode{}
	n.line, n.column = position(node)
	switch v := node.(type) {
	case *ast.MappingNode:
		convertMapping(report, n, v.Values)
	case *ast.MappingValueNode:
		convertMapping(report, n, []*ast.MappingValueNode{v})
	case *ast.SequenceNode:
		n.form = formList
		for _, item := range v.Values {
			n.list = append(n.list, convert(report, item))
		}
	case *ast.NullNode:
		n.form = formNull
	case *ast.LiteralNode:
		n.form, n.text = formText, strings.TrimRight(v.Value.Value, "\n")
	case *ast.AnchorNode, *ast.AliasNode:
		report.add(n.line, n.column, "", "anchors and aliases (& and *) are not read here: write the value out")
	case *ast.TagNode:
		report.add(n.line, n.column, "", "tags (!) are not read here: values are taken as written")
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.form, n.text = formText, node.GetToken().Value
	default:
		report.add(n.line, n.column, "", "this kind of YAML is not read here")
	}
	return n
}

func convertMapping(report *reporter, n *yamlNode, values []*ast.MappingValueNode) {
	n.form = formMapping
	for _, v := range values {
		var key ast.Node = v.Key
		if k, ok := key.(*ast.MappingKeyNode); ok {
			key = k.Value
		}
		line, column := position(key)
		switch k := key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.NullNode:
			n.entries = append(n.entries, yamlEntry{k.GetToken().Value, line, column, convert(report, v.Value)})
		case *ast.MergeKeyNode:
			report.add(line, column, "", "merging (<<) is not read here: write the fields out")
		default:
			report.add(line, column, "", "a key must be a plain text")
		}
	}
}

// position returns where a node begins: a block mapping at its first key.
func position(node ast.Node) (line, column int) {
	switch v := node.(type) {
	case nil:
		return 1, 1
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return position(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(v.Key)
	}
	if tk := node.GetToken(); tk != nil && tk.Position != nil {
		return tk.Position.Line, tk.Position.Column
	}
	return 1, 1
}

// The bounds of a file that the YAML reader is trusted with: it recurses into what
// is nested and takes quadratic time over the entries of one mapping, and over the
// keys of the whole file.
const (
	maxFlowDepth = 20   // of brackets in brackets
	maxIndent    = 100  // columns before the first character of a line
	maxMarkers   = 10   // dashes, question marks and colons that nest on one line
	maxEntries   = 2000 // of one mapping or list, outside brackets
	maxKeys      = 5000 // of the whole file; one that is marked with ? counts twice
)

// shape follows the tokens of a file to see whether it keeps within these bounds.
type shape struct {
	flow    int // brackets open
	markers int
	keys    int
	line    int
	open    []column // the block mappings and lists around the token
}

// column counts the entries of the block mapping or list that begins at a column.
type column struct{ at, entries int }

// outOfShape returns the first token at which a file leaves the bounds, or nil.
func outOfShape(tokens token.Tokens) *token.Token {
	var s shape
	for _, tk := range tokens {
		if tk.Position != nil && !s.takes(tk) {
			return tk
		}
	}
	return nil
}

// takes reports whether the file is within the bounds up to the token.
func (s *shape) takes(tk *token.Token) bool {
	if s.flow == 0 && tk.Position.Line != s.line {
		s.markers = 0
		if tk.Position.Column > maxIndent && tk.Type != token.CommentType {
			return false
		}
	}
	s.line = tk.Position.Line
	entries := 0
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		s.flow++
		s.markers = 0
	case token.MappingEndType, token.SequenceEndType:
		s.flow = max(s.flow-1, 0)
	case token.CollectEntryType:
		s.markers = 0
	case token.MappingValueType:
		s.markers++
		s.keys++
		entries = s.entry(tk.Prev)
	case token.MappingKeyType:
		s.markers++
		s.keys++
		entries = s.entry(tk)
	case token.SequenceEntryType:
		s.markers++
		entries = s.entry(tk)
	}
	return s.keys <= maxKeys && s.flow <= maxFlowDepth && s.markers <= maxMarkers && entries <= maxEntries
}

// entry counts an entry that begins at the token, and returns how many its mapping
// or list has. In brackets, which cost no more the more there are, it returns 0.
func (s *shape) entry(tk *token.Token) int {
	if s.flow > 0 || tk == nil || tk.Position == nil {
		return 0
	}
	at := tk.Position.Column
	for len(s.open) > 0 && s.open[len(s.open)-1].at > at {
		s.open = s.open[:len(s.open)-1]
	}
	if len(s.open) == 0 || s.open[len(s.open)-1].at < at {
		s.open = append(s.open, column{at: at})
	}
	last := &s.open[len(s.open)-1]
	last.entries++
	return last.entries
}
