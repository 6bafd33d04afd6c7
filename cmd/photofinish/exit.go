package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"photofinish/announce"
	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
	"photofinish/ingest/spool"
	"photofinish/rules/rulefile"
	"photofinish/settle"
)

// Exit codes, as contract.md promises them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or invalid input; nothing was changed
	exitPerson = 3 // done, but something needs a person
)

// usageError is a wrong command line, configuration or input file.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errPerson ends a command that did its work and found something for a person. What
// it found is printed already.
var errPerson = errors.New("something needs a person")

// errFailed ends a command whose output says what failed.
var errFailed = errors.New("failed")

func exitCode(err error) int {
	var usage usageError
	var input *ingest.InputError
	var field *ingest.FieldError
	var pushed *ingest.PushedError
	var ruleset *rulefile.Error
	var format *clickhouse.FormatError
	var notSettled *announce.NotSettledError
	switch {
	case errors.Is(err, errPerson), errors.Is(err, settle.ErrHoles):
		return exitPerson
	case errors.As(err, &usage), errors.As(err, &input), errors.As(err, &field), errors.As(err, &pushed), errors.As(err, &ruleset), errors.As(err, &format),
		errors.Is(err, announce.ErrNothingSettled), errors.As(err, &notSettled), errors.Is(err, settle.ErrUnknown):
		return exitUsage
	}
	return exitFailed
}

// explainError returns what to tell the user, one line for most errors; "" where
// everything is said.
func explainError(err error) string {
	if errors.Is(err, errPerson) || errors.Is(err, errFailed) {
		return ""
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted; run it again to go on from where it stopped"
	}
	text := err.Error()
	if hint := clickhouse.Hint(err); hint != "" && exitCode(err) == exitFailed && !strings.Contains(text, hint) {
		text += ": " + hint
	}
	switch {
	case errors.Is(err, spool.ErrLocked):
		text += ": another photofinish runs on this folder: stop that, or give this one a folder or a node of its own"
	case errors.Is(err, fs.ErrPermission) && exitCode(err) == exitFailed:
		text += ": run it as the user to whom that belongs, or name another with --data"
	}
	return text
}
