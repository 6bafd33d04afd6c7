package ingest

import (
	"bufio"
	"io"
	"strings"

	"photofinish/rules"
)

// DecodeCloudEvent reads one CloudEvent 1.0 in its JSON form. Its source must be
// the server; its type is what follows the last dot; its sequence becomes the seq;
// its data holds the other fields of an event and nothing else. Extension
// attributes are allowed and ignored, as the specification asks. Errors are
// *FieldError or *SyntaxError; a text longer than MaxLineBytes is one.
func DecodeCloudEvent(text []byte, server string) (rules.Event, error) {
	if len(text) > MaxLineBytes {
		return rules.Event{}, errLongLine
	}
	if e, ok := quickCloudEvent(text, server); ok {
		return e, nil
	}
	return strictCloudEvent(text, server)
}

// strictCloudEvent is DecodeCloudEvent for any text.
func strictCloudEvent(text []byte, server string) (rules.Event, error) {
	j := jsonText{b: text}
	e := rules.Event{Count: 1}
	var version, source string
	hasAt := false
	err := j.object(func(name string) (err error) {
		switch name {
		case "specversion":
			version, err = j.textField(name)
		case "id":
			e.ID, err = j.textField(name)
		case "source":
			source, err = j.textField(name)
		case "type":
			e.Type, err = j.textField(name)
			e.Type = lastPart(e.Type)
		case "time":
			hasAt = true
			e.At, err = j.instantField(name)
		case "sequence":
			e.Seq, err = j.uintField(name)
		case "data":
			if j.peek() != '{' {
				return j.wrong(name, "is not an object")
			}
			err = j.object(func(field string) error { return j.dataField(&e, field) })
		case "datacontenttype":
			err = j.jsonType(name)
		default:
			err = j.extension(name)
		}
		return err
	})
	if err == nil {
		err = j.end()
	}
	switch {
	case err != nil:
		return e, err
	case version != "1.0":
		return e, &FieldError{"specversion", version, `is not "1.0"`}
	case source != server:
		return e, &FieldError{"source", source, "is not the server that may send here"}
	case !hasAt:
		return e, &FieldError{"time", "", "is missing"}
	}
	return e, nil
}

// lastPart is what follows the last dot of an event's type.
func lastPart(kind string) string { return kind[strings.LastIndexByte(kind, '.')+1:] }

// jsonType takes the media type of the data, which must be JSON.
func (j *jsonText) jsonType(field string) error {
	value, err := j.textField(field)
	if err != nil {
		return err
	}
	media, _, _ := strings.Cut(strings.ToLower(value), ";")
	if media = strings.TrimSpace(media); media != "application/json" && !strings.HasSuffix(media, "+json") {
		return &FieldError{field, value, "is not JSON"}
	}
	return nil
}

// extension takes an attribute that the specification lets anybody add.
func (j *jsonText) extension(name string) error {
	ok := name != ""
	for i := range len(name) {
		ok = ok && ('a' <= name[i] && name[i] <= 'z' || '0' <= name[i] && name[i] <= '9')
	}
	if !ok { // data_base64 among others
		return &FieldError{"the field", name, "is not known"}
	}
	return j.skip()
}

// readCloudEvents reads a file that is one array of events, or has one in each line.
func (rd *reading) readCloudEvents(m *member, in io.Reader) error {
	decode := func(text []byte) (rules.Event, error) { return DecodeCloudEvent(text, rd.server) }
	b := bufio.NewReaderSize(in, ioBuffer)
	batch, err := isArray(b)
	if err != nil {
		return err
	}
	if !batch {
		return rd.readLines(m, b, ndjson{decode})
	}
	return elements(b, func(text []byte) error {
		m.lines++
		e, err := decode(text)
		return rd.take(m, m.lines, &e, 0, "", err, text)
	})
}
