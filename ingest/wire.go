package ingest

import (
	"bufio"
	"errors"
	"io"
	"time"

	"photofinish/rules"
)

// This file is what the packages below this one, httpapi and keys, use of the readers
// and checks that Import uses too.

// CheckName returns why a text cannot be the name of a server, region or node, as a
// *FieldError, or nil. The field is named in the error.
func CheckName(field, name string) error { return checkName(field, name) }

// ErrNotArray says that a text is no JSON array.
var ErrNotArray = errors.New("it is not a JSON array")

// EachCloudEvent calls fn with the text of each element of a JSON array, as a batch of
// CloudEvents is one. The text is valid until fn returns and not checked further;
// DecodeCloudEvent reads it. It ends with the first error of fn, with ErrNotArray, or
// where the array does not end or something follows it.
func EachCloudEvent(batch io.Reader, fn func(text []byte) error) error {
	b := bufio.NewReader(batch)
	array, err := isArray(b)
	if err == nil && !array {
		err = ErrNotArray
	}
	if err != nil {
		return err
	}
	return elements(b, fn)
}

// ReadSourceLine reads one line of a Source engine's log, without its end. A kill or a
// purchase comes back as an event without id, seq, server and region, with what its
// stamp leaves open in nanoseconds. Any other line comes back with its kind, and as an
// event that has nothing but the instant of its stamp. A line without a stamp, or with
// one that is no time in the zone, is a *FieldError.
//
// What the line says depends on the line and the zone alone: the map that an earlier
// line named is not known here.
func ReadSourceLine(line []byte, zone *time.Location) (e rules.Event, openNs int64, kind string, err error) {
	event, openNs, kind, err := newSourceLog("", zone).next(line)
	switch {
	case err != nil:
		return rules.Event{}, 0, "", err
	case event != nil:
		event.ID, event.Seq = "", 0
		return *event, openNs, "", nil
	}
	if l := readSourceLine(line); l.stamped {
		e.At, _, err = l.at.instant(zone)
	}
	return e, 0, kind, err
}
