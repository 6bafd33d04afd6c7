package spool

import "errors"

// Conditions that callers branch on.
var (
	// ErrLocked: another process has the folder open.
	ErrLocked = errors.New("the spool is in use by another process")
	// ErrClosed: the spool was closed, or never opened.
	ErrClosed = errors.New("the spool is closed")
	// ErrGone: the offset was in a segment that has been removed.
	ErrGone = errors.New("the offset is no longer in the spool")
	// ErrFull: the quota is used up, or the disk nearly. Nothing of the call was
	// stored. What is here stays, is read and removed as ever, and removing makes
	// room again.
	ErrFull = errors.New("the spool is full")
	// ErrVersion: the folder was written by another version of the format.
	ErrVersion = errors.New("the spool is of another version of photofinish")
	// ErrStop ends a Read early without an error.
	ErrStop = errors.New("stop reading")
)
