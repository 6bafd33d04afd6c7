package clickhouse

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The engine syncs the files of what it writes, but not the folders that name them: a
// power cut can take what the last seconds wrote. So whoever keeps state there must know
// whether that may have happened. The file "ended" says it:
//
//	absent    the engine was stopped, and its folders were synced after that
//	running   it runs, and nothing was lost before
//	unsure    it had ended in another way, and nobody has made good what that may have cost
const (
	stateFile    = "ended"
	stateRunning = "running"
	stateUnsure  = "unsure"
)

// begin notes that an engine is about to run. A crash after it leaves "running", which
// the next begin takes for an end that nobody saw.
func (f folder) begin() error {
	state := stateRunning
	if _, err := os.Stat(f.path(stateFile)); err == nil {
		state = stateUnsure
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look how the last engine ended: %w", err)
	}
	return f.setState(state)
}

// end notes that the engine has stopped. The caller has seen it stop. A crash before the
// last step leaves the file: then less is believed than is true.
func (f folder) end() error {
	intact, err := f.intact()
	if err == nil {
		err = f.sync()
	}
	if err != nil || !intact {
		return err
	}
	if err := os.Remove(f.path(stateFile)); err != nil {
		return fmt.Errorf("note the engine's end: %w", err)
	}
	return syncDir(f.path(""))
}

// intact reports whether nothing can have been lost that was acknowledged before the
// running engine started.
func (f folder) intact() (bool, error) {
	text, err := os.ReadFile(f.path(stateFile))
	if err != nil {
		return false, fmt.Errorf("look how the last engine ended: %w", err)
	}
	return strings.TrimSpace(string(text)) == stateRunning, nil
}

// restored notes that what may have been lost is there again, for good.
func (f folder) restored() error {
	if err := f.sync(); err != nil {
		return err
	}
	return f.setState(stateRunning)
}

func (f folder) setState(state string) error {
	if err := writeFile(f.path(stateFile), []byte(state+"\n"), 0o600); err != nil {
		return err
	}
	file, err := os.Open(f.path(stateFile))
	if err != nil {
		return fmt.Errorf("note how the engine ends: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("note how the engine ends: %w", err)
	}
	return syncDir(f.path(""))
}

// sync syncs the folders of the data. Some may go away meanwhile, with parts that were
// merged.
func (f folder) sync() error {
	err := filepath.WalkDir(f.path("data"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if err := syncDir(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sync the data folder: %w", err)
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path) //nolint:gosec // a folder of our own
	if err != nil {
		return fmt.Errorf("sync a folder: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Intact reports whether nothing that the server acknowledged before it was started can
// have been lost by a power cut. Of a server elsewhere nobody here knows: false.
func (s *Server) Intact() bool {
	if s.embedded == nil {
		return false
	}
	intact, err := s.embedded.folder.intact()
	return err == nil && intact
}

// Restored says that what a power cut may have taken is written again. From then on the
// server is Intact.
func (s *Server) Restored() error {
	if s.embedded == nil {
		return nil
	}
	return s.embedded.folder.restored()
}
