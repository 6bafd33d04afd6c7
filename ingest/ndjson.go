package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"photofinish/rules"
)

// DecodeEvent reads one event as JSON, strictly: an unknown or repeated name,
// anything behind the object, a number out of range, a text that is not UTF-8 and one
// longer than MaxLineBytes are errors, as *FieldError or *SyntaxError. A count that is absent is 1; server
// and region are left empty, since the key or the command names them.
//
// The texts of the event are parts of one copy of the whole text: clone what is kept
// for longer than the event.
func DecodeEvent(text []byte) (rules.Event, error) {
	if len(text) > MaxLineBytes {
		return rules.Event{}, errLongLine
	}
	if e, ok := quickEvent(text); ok {
		return e, nil
	}
	return strictEvent(text)
}

// strictEvent is DecodeEvent for any text.
func strictEvent(text []byte) (rules.Event, error) {
	j := jsonText{b: text}
	e := rules.Event{Count: 1}
	hasAt := false
	err := j.object(func(name string) (err error) {
		switch name {
		case "id":
			e.ID, err = j.textField(name)
		case "type":
			e.Type, err = j.textField(name)
		case "at":
			hasAt = true
			e.At, err = j.instantField(name)
		default:
			err = j.dataField(&e, name)
		}
		return err
	})
	if err == nil {
		err = j.end()
	}
	if err == nil && !hasAt {
		err = &FieldError{"at", "", "is missing"}
	}
	return e, err
}

// dataField takes a field that is also a field of a CloudEvent's data.
func (j *jsonText) dataField(e *rules.Event, name string) (err error) {
	switch name {
	case "player":
		e.Player, err = j.textField(name)
	case "guild":
		e.Guild, err = j.textField(name)
	case "target":
		e.Target, err = j.textField(name)
	case "sku":
		e.SKU, err = j.textField(name)
	case "count":
		e.Count, err = j.intField(name)
	case "seq":
		e.Seq, err = j.uintField(name)
	case "price":
		e.Price, err = j.priceField()
	case "attrs":
		e.Attrs, err = j.attrsField()
	default:
		err = &FieldError{"the field", name, "is not known"}
	}
	return err
}

// wrong refuses a value of the wrong kind.
func (j *jsonText) wrong(field, reason string) error {
	start := j.at
	if err := j.skip(); err != nil {
		return err
	}
	return &FieldError{field, string(j.b[start:j.at]), reason}
}

func (j *jsonText) textField(field string) (string, error) {
	if j.peek() != '"' {
		return "", j.wrong(field, "is not a string")
	}
	return j.text()
}

// digits takes a number, also written as a string, as 64-bit numbers are in JSON
// that a browser may have touched.
func (j *jsonText) digits(field string) (string, error) {
	switch c := j.peek(); {
	case c == '"':
		return j.text()
	case c == '-' || '0' <= c && c <= '9':
		return j.number()
	}
	return "", j.wrong(field, "is not a number")
}

func (j *jsonText) intField(field string) (int64, error) {
	text, err := j.digits(field)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &FieldError{field, text, "is not a whole number of 64 bits"}
	}
	return n, nil
}

func (j *jsonText) uintField(field string) (uint64, error) {
	text, err := j.digits(field)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &FieldError{field, text, "is not a whole number of 64 bits from 0"}
	}
	return n, nil
}

func (j *jsonText) instantField(field string) (rules.Instant, error) {
	text, err := j.textField(field)
	if err != nil {
		return 0, err
	}
	at, err := rules.ParseInstant(text)
	switch {
	case errors.Is(err, rules.ErrInstantForm):
		return 0, &FieldError{field, text, rules.ErrInstantForm.Error()}
	case err != nil:
		return 0, &FieldError{field, text, rules.ErrInstantYears.Error()}
	}
	return at, nil
}

func (j *jsonText) priceField() (m rules.Money, err error) {
	if j.peek() != '{' {
		return m, j.wrong("price", `is not an object such as {"amount":999,"currency":"USD"}`)
	}
	err = j.object(func(name string) (err error) {
		switch name {
		case "amount":
			m.Amount, err = j.intField("price.amount")
		case "currency":
			m.Currency, err = j.textField("price.currency")
		default:
			err = &FieldError{"the field", "price." + name, "is not known"}
		}
		return err
	})
	return m, err
}

func (j *jsonText) attrsField() (map[string]string, error) {
	if j.peek() != '{' {
		return nil, j.wrong("attrs", "is not an object")
	}
	attrs := map[string]string{}
	err := j.object(func(name string) (err error) {
		if len(attrs) == MaxAttrs {
			return &FieldError{"attrs", name, fmt.Sprintf("is one more than %d", MaxAttrs)}
		}
		attrs[name], err = j.attr(name)
		return err
	})
	if len(attrs) == 0 {
		attrs = nil // the same event as one without
	}
	return attrs, err
}

// attr takes the value of an attribute, which is a text in the log whatever it was.
func (j *jsonText) attr(name string) (string, error) {
	switch c := j.peek(); {
	case c == '"':
		return j.text()
	case c == '-' || '0' <= c && c <= '9':
		return j.number()
	case c == 't' || c == 'f':
		return j.word()
	}
	return "", j.wrong("attrs."+name, "is not a string, number or boolean")
}

// ndjson makes events of lines of JSON. An empty line is none.
type ndjson struct {
	decode func([]byte) (rules.Event, error)
}

func (n ndjson) next(line []byte) (e *rules.Event, openNs int64, kind string, err error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil, 0, "empty", nil
	}
	decoded, err := n.decode(line)
	return &decoded, 0, "", err
}
