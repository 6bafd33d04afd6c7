package spool

import (
	"fmt"
	"syscall"
	"testing"
)

// crowdedFS has no file descriptor left for one of the calls of Open.
type crowdedFS struct {
	FS

	name  string
	nth   int
	calls int
}

func (c *crowdedFS) Open(path string) (File, error) {
	if path == c.name {
		if c.calls++; c.calls == c.nth {
			return nil, fmt.Errorf("open %s: %w", path, syscall.EMFILE)
		}
	}
	return c.FS.Open(path)
}

// That a process has too many open files says nothing of a segment: such a start fails, and
// the next one finds everything.
func TestTooManyOpenFilesAtTheStart(t *testing.T) {
	for _, name := range []string{segmentPath(simDir, 1), simDir + "/" + stateName} {
		for nth := 1; nth <= 3; nth++ {
			d := newSim()
			s := d.start(t)
			add(t, s, "a", "b", "c")
			d.owner.kill()
			o := simOptions(d.process())
			o.FS = &crowdedFS{FS: o.FS, name: name, nth: nth}
			if s, err := Open(simDir, o); err == nil {
				_ = s.Close()
			}
			s = d.start(t)
			expect(t, fmt.Sprintf("after the failed open %d of %s", nth, name), contents(t, s, 1), "1=a 2=b 3=c")
			_ = s.Close()
		}
	}
}
