package ingest

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of what a JSON text may nest and name.
const (
	maxJSONDepth = 16
	maxJSONNames = 128 // of one object
)

// SyntaxError says where a text is not JSON, or not the JSON that was asked for.
type SyntaxError struct {
	Byte   int // from 1
	Reason string
}

// Error names the byte.
func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d %s", e.Byte, e.Reason) }

// jsonText reads one JSON text strictly: RFC 8259, UTF-8, no name twice in one
// object, nothing behind the value. Its methods take what is next off the front;
// after an error the reader is of no more use.
type jsonText struct {
	b     []byte
	at    int
	depth int
}

func (j *jsonText) fail(reason string) error { return &SyntaxError{j.at + 1, reason} }

// peek skips space and returns the next byte; 0 at the end.
func (j *jsonText) peek() byte {
	for j.at < len(j.b) {
		switch c := j.b[j.at]; c {
		case ' ', '\t', '\r', '\n':
			j.at++
		default:
			return c
		}
	}
	return 0
}

func (j *jsonText) expect(c byte, what string) error {
	if j.peek() != c || j.at >= len(j.b) {
		return j.fail("there is no " + what)
	}
	j.at++
	return nil
}

// end reports what follows the value, which should be nothing.
func (j *jsonText) end() error {
	if j.peek(); j.at < len(j.b) {
		return j.fail("something follows the JSON value")
	}
	return nil
}

// object calls fn with each name; fn must take the value.
func (j *jsonText) object(fn func(name string) error) error {
	if err := j.expect('{', "object"); err != nil {
		return err
	}
	if j.depth++; j.depth > maxJSONDepth {
		return j.fail(fmt.Sprintf("objects and arrays nest deeper than %d", maxJSONDepth))
	}
	defer func() { j.depth-- }()
	if j.peek() == '}' {
		j.at++
		return nil
	}
	names := make([]string, 0, 16)
	for {
		name, err := j.text()
		if err != nil {
			return err
		}
		if slices.Contains(names, name) {
			return j.fail("the name " + quote(name) + " comes twice")
		}
		if names = append(names, name); len(names) > maxJSONNames {
			return j.fail(fmt.Sprintf("an object has more than %d names", maxJSONNames))
		}
		if err := j.expect(':', "colon after a name"); err != nil {
			return err
		}
		if err := fn(name); err != nil {
			return err
		}
		if j.peek() == ',' {
			j.at++
			continue
		}
		return j.expect('}', "comma or end of the object")
	}
}

// text takes a string.
func (j *jsonText) text() (string, error) {
	if err := j.expect('"', "string"); err != nil {
		return "", err
	}
	start := j.at
	for j.at < len(j.b) {
		switch c := j.b[j.at]; {
		case c == '"':
			raw := j.b[start:j.at]
			if !utf8.Valid(raw) {
				j.at = start
				return "", j.fail("a string is not UTF-8")
			}
			j.at++
			return string(raw), nil
		case c == '\\':
			return j.escaped(start)
		case c < 0x20:
			return "", j.fail("a string has a bare control character")
		}
		j.at++
	}
	return "", j.fail("a string is not closed")
}

// escaped takes the rest of a string that began at start and has an escape next.
func (j *jsonText) escaped(start int) (string, error) {
	s := slices.Clone(j.b[start:j.at])
	for j.at < len(j.b) {
		c := j.b[j.at]
		j.at++
		switch {
		case c == '"':
			if !utf8.Valid(s) {
				return "", j.fail("a string is not UTF-8")
			}
			return string(s), nil
		case c == '\\':
			r, err := j.escape()
			if err != nil {
				return "", err
			}
			s = utf8.AppendRune(s, r)
		case c < 0x20:
			return "", j.fail("a string has a bare control character")
		default:
			s = append(s, c)
		}
	}
	return "", j.fail("a string is not closed")
}

func (j *jsonText) escape() (rune, error) {
	if j.at >= len(j.b) {
		return 0, j.fail("a string is not closed")
	}
	c := j.b[j.at]
	j.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := j.hex()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if j.at+1 < len(j.b) && j.b[j.at] == '\\' && j.b[j.at+1] == 'u' {
			j.at += 2
			low, err := j.hex()
			if err != nil {
				return 0, err
			}
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, nil
			}
		}
		return 0, j.fail("half of a surrogate pair stands alone")
	}
	return 0, j.fail("an escape is not known")
}

func (j *jsonText) hex() (rune, error) {
	if j.at+4 > len(j.b) {
		return 0, j.fail("an escape is cut off")
	}
	n, err := strconv.ParseUint(string(j.b[j.at:j.at+4]), 16, 16)
	if err != nil {
		return 0, j.fail("an escape is not four hexadecimal digits")
	}
	j.at += 4
	return rune(n), nil
}

// number takes a number and returns it as it is written.
func (j *jsonText) number() (string, error) {
	j.peek()
	start := j.at
	digits := func() bool {
		from := j.at
		for j.at < len(j.b) && '0' <= j.b[j.at] && j.b[j.at] <= '9' {
			j.at++
		}
		return j.at > from
	}
	is := func(set ...byte) bool { return j.at < len(j.b) && slices.Contains(set, j.b[j.at]) }
	if is('-') {
		j.at++
	}
	zero := is('0')
	whole := j.at
	ok := digits() && (!zero || j.at == whole+1)
	if ok && is('.') {
		j.at++
		ok = digits()
	}
	if ok && is('e', 'E') {
		if j.at++; is('+', '-') {
			j.at++
		}
		ok = digits()
	}
	if !ok {
		return "", j.fail("there is no number")
	}
	return string(j.b[start:j.at]), nil
}

// word takes true, false or null.
func (j *jsonText) word() (string, error) {
	j.peek()
	for _, w := range []string{"true", "false", "null"} {
		if len(j.b)-j.at >= len(w) && string(j.b[j.at:j.at+len(w)]) == w {
			j.at += len(w)
			return w, nil
		}
	}
	return "", j.fail("there is no value")
}

// skip takes any value.
func (j *jsonText) skip() error {
	var err error
	switch c := j.peek(); {
	case c == '{':
		err = j.object(func(string) error { return j.skip() })
	case c == '[':
		err = j.skipArray()
	case c == '"':
		_, err = j.text()
	case c == '-' || '0' <= c && c <= '9':
		_, err = j.number()
	default:
		_, err = j.word()
	}
	return err
}

func (j *jsonText) skipArray() error {
	j.at++ // the bracket
	if j.depth++; j.depth > maxJSONDepth {
		return j.fail(fmt.Sprintf("objects and arrays nest deeper than %d", maxJSONDepth))
	}
	defer func() { j.depth-- }()
	if j.peek() == ']' {
		j.at++
		return nil
	}
	for {
		if err := j.skip(); err != nil {
			return err
		}
		if j.peek() == ',' {
			j.at++
			continue
		}
		return j.expect(']', "comma or end of the array")
	}
}
