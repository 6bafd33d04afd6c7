package ingest

import (
	"bufio"
	"errors"
	"io"
)

// isArray skips space and reports whether an array begins.
func isArray(b *bufio.Reader) (bool, error) {
	for {
		c, err := b.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		case isSpace(c):
			continue
		}
		return c == '[', b.UnreadByte()
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// elements calls fn with the text of each element of an array, which is valid until fn
// returns. The texts are split at the array's commas and not otherwise checked; they
// come without the space around them. One that is longer than MaxLineBytes comes cut to
// a byte more than that, so that no array takes more memory than one element. It fails
// where the array does not end, or where something follows it.
func elements(b *bufio.Reader, fn func(text []byte) error) error {
	if _, err := b.ReadByte(); err != nil { // the bracket
		return err
	}
	var e element
	for another := false; ; {
		if _, err := b.Peek(1); err != nil {
			return err
		}
		chunk, _ := b.Peek(b.Buffered())
		taken, end := e.take(chunk)
		_, _ = b.Discard(taken) // they are buffered
		if end == 0 {
			continue
		}
		if len(e.text) > 0 || another || end == ',' {
			if err := fn(e.text); err != nil {
				return err
			}
		}
		if end == ']' {
			return nothingFollows(b)
		}
		e.text, e.gap, another = e.text[:0], false, true
	}
}

// element is a text between two commas of an array, as far as it was read.
type element struct {
	text            []byte
	depth           int // of objects and arrays within it
	quoted, escaped bool
	gap             bool // space was left out behind the text
}

// take takes bytes up to the comma or bracket that ends the element, which it returns;
// 0 is that it took all and has not seen the end.
func (e *element) take(chunk []byte) (taken int, end byte) {
	from := 0
	for i, c := range chunk {
		switch {
		case e.quoted:
			e.quoted = e.escaped || c != '"'
			e.escaped = c == '\\' && !e.escaped
		case c == '"':
			e.quoted = true
		case c == '{', c == '[':
			e.depth++
		case e.depth > 0:
			if c == '}' || c == ']' {
				e.depth--
			}
		case c == ',', c == ']':
			e.keep(chunk[from:i])
			return i + 1, c
		case isSpace(c):
			e.keep(chunk[from:i])
			from, e.gap = i+1, true
		}
	}
	e.keep(chunk[from:])
	return len(chunk), 0
}

// keep adds to the text, with a space where there was any within it.
func (e *element) keep(b []byte) {
	if len(b) == 0 {
		return
	}
	if e.gap && len(e.text) > 0 && len(e.text) <= MaxLineBytes {
		e.text = append(e.text, ' ')
	}
	e.gap = false
	room := MaxLineBytes + 1 - len(e.text)
	e.text = append(e.text, b[:min(len(b), room)]...)
}

func nothingFollows(b *bufio.Reader) error {
	for {
		c, err := b.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !isSpace(c):
			return errors.New("something follows the array")
		}
	}
}
