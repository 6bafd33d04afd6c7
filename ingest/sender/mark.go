package sender

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

// The files of a sender beside its spool.
const (
	markFile    = "sent"
	refusedFile = "refused.ndjson"
)

func (s *Sender) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// readMark returns up to which offset everything was sent. A mark that is missing,
// damaged or of another spool is as none: what is left is sent again, which changes
// nothing at the node.
func (s *Sender) readMark() uint64 {
	from := s.disk.First() - 1
	b, err := os.ReadFile(s.path(markFile))
	if err != nil {
		return from
	}
	var upTo uint64
	_, err = fmt.Sscanf(string(b), "%d", &upTo)
	if err != nil || string(b) != markText(upTo) || upTo > s.landed.end {
		s.log.Warn("the mark of what was sent is damaged or of another spool; all that is left is sent again",
			"path", s.path(markFile), "mark", strings.TrimSpace(string(b[:min(len(b), 40)])))
		return from
	}
	return max(from, upTo)
}

func markText(upTo uint64) string {
	number := fmt.Sprintf("%d", upTo)
	return fmt.Sprintf("%s %08x\n", number, crc32.ChecksumIEEE([]byte(number)))
}

// marked returns up to which offset the spool is of no more use to the sending. The lock
// is not held.
func (s *Sender) marked() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused.before(s.acked)
}

// saveMark writes the mark, best effort: it is not synced, and without it more is sent
// again. The rename keeps a crash of the process from leaving half of it; a power cut may,
// and the sum tells.
func (s *Sender) saveMark(upTo uint64) {
	temporary := s.path(markFile + ".tmp")
	err := os.WriteFile(temporary, []byte(markText(upTo)), 0o600)
	if err == nil {
		err = os.Rename(temporary, s.path(markFile))
	}
	if err != nil {
		s.log.Warn("the mark of what was sent is not written; after a restart more is sent again", "err", err)
	}
}
