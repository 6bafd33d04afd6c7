package spool

import (
	"errors"
	"fmt"
)

// Conditions that callers branch on.
var (
	// ErrLocked: another process has the folder open.
	ErrLocked = errors.New("the spool is in use by another process")
	// ErrClosed: the spool was closed, or never opened.
	ErrClosed = errors.New("the spool is closed")
	// ErrFailed: an earlier write or sync failed in a way that leaves the state of
	// the disk unknown. Nothing more is accepted until the spool is opened again.
	ErrFailed = errors.New("the spool failed and must be opened again")
	// ErrGone: the offset was in a segment that has been removed.
	ErrGone = errors.New("the offset is no longer in the spool")
)

// CorruptionErr says where a segment does not hold what was written to it.
type CorruptionErr struct {
	Segment string // path of the file
	Offset  int64  // byte at which the damaged header or frame begins
	Reason  string
}

// Error names the file, the byte and what is wrong there.
func (e *CorruptionErr) Error() string {
	return fmt.Sprintf("spool segment %s is damaged at byte %d: %s", e.Segment, e.Offset, e.Reason)
}
