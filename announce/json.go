package announce

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// WriteJSON writes one report as one JSON object, indented, with a newline.
//
// The texts in it are exact, but characters that could deceive or steer a terminal
// that shows it are written as \u escapes, and so are < > &.
func WriteJSON(w io.Writer, r *Report) error {
	return writeJSON(w, r)
}

// WriteAllJSON writes reports as {"reports":[…]}, as WriteJSON does one.
func WriteAllJSON(w io.Writer, reports []Report) error {
	if reports == nil {
		reports = []Report{}
	}
	return writeJSON(w, struct {
		Reports []Report `json:"reports"`
	}{reports})
}

// WriteValueJSON writes any part of a report, or a list of such, as WriteJSON does one.
func WriteValueJSON(w io.Writer, v any) error { return writeJSON(w, v) }

func writeJSON(w io.Writer, v any) error {
	body, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	if _, err := w.Write(append(escapeHidden(body), '\n')); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	return nil
}

func marshalText(s string) ([]byte, error) { return json.Marshal(s) }

// escapeHidden writes the hidden characters of a JSON document as escapes, and that
// for what was not UTF-8, as encoding/json does. They occur only inside its
// strings, so the document means the same.
func escapeHidden(body []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(body))
	for len(body) > 0 {
		c, size := utf8.DecodeRune(body)
		switch {
		case c == '\n' || !hidden(c) && c != utf8.RuneError:
			out.Write(body[:size])
		case c > 0xffff:
			c -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, c)
		}
		body = body[size:]
	}
	return out.Bytes()
}
