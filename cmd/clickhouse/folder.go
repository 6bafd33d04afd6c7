package clickhouse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Format is the number of the data folder's format that this build writes and
// reads: it counts every change after which an older build would misread the
// folder.
const Format = 1

// A FormatError says that a data folder was written by a newer build.
type FormatError struct {
	Dir  string
	Have int // the folder's format
	Want int // the newest format that this build knows
}

// Error names the folder and both formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("data folder %s has format %d, this photofinish knows formats up to %d: use a newer photofinish or another folder; nothing was changed",
		e.Dir, e.Have, e.Want)
}

// CheckFormat returns a [*FormatError] if the data folder is of a newer format
// than [Format]. It changes nothing. A folder that does not exist, or has no
// version file yet, passes.
func CheckFormat(dir string) error {
	path := filepath.Join(dir, "version")
	text, err := os.ReadFile(path) // #nosec G304 -- the operator names the folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the data folder's format: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n < 1 {
		return fmt.Errorf("%s does not hold a format number but %.40q", path, text)
	}
	if n > Format {
		return &FormatError{Dir: dir, Have: n, Want: Format}
	}
	return nil
}

// A folder is the part of a data folder that the embedded engine lives in.
type folder struct{ root string }

func (f folder) path(name string) string { return filepath.Join(f.root, "clickhouse", name) }

// prepare creates what is missing and writes the format into a folder that has
// none yet. It touches nothing in a folder of a newer format.
func (f folder) prepare() error {
	if err := CheckFormat(f.root); err != nil {
		return err
	}
	if err := os.MkdirAll(f.path("data"), 0o700); err != nil {
		return fmt.Errorf("create the data folder: %w", err)
	}
	version := filepath.Join(f.root, "version")
	if _, err := os.Stat(version); err == nil {
		return nil
	}
	return writeFile(version, []byte(strconv.Itoa(Format)+"\n"), 0o644)
}

// engineInfo is what a command needs to use an engine that another one started.
type engineInfo struct {
	Addr     string `json:"addr"`
	User     string `json:"user"`
	Password string `json:"password"`
	PID      int    `json:"pid"` // zero while it starts
}

// info reads engine.json. What it says holds only while engine.lock is taken.
func (f folder) info() (engineInfo, error) {
	var info engineInfo
	text, err := os.ReadFile(f.path("engine.json"))
	if err != nil {
		return info, fmt.Errorf("read the engine's address: %w", err)
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return info, fmt.Errorf("read the engine's address: %s: %w", f.path("engine.json"), err)
	}
	return info, nil
}

// setInfo replaces engine.json in one step.
func (f folder) setInfo(info engineInfo) error {
	text, err := json.Marshal(info) //nolint:gosec // the file of mode 0600 is where the password is kept
	if err != nil {
		return fmt.Errorf("write the engine's address: %w", err)
	}
	return writeFile(f.path("engine.json"), append(text, '\n'), 0o600)
}

// engineRuns reports whether an engine process exists for the folder: starting,
// answering or stopping.
func (f folder) engineRuns() (bool, error) {
	l, err := openLock(f.path("engine.lock"))
	if err != nil {
		return false, err
	}
	defer l.release()
	free, err := l.try(syscall.LOCK_SH)
	return !free, err
}

// engineError begins every error that the engine prints.
const engineError = "Code: "

// failed reports whether the engine printed an error in its last start.
func (f folder) failed() bool { return strings.HasPrefix(f.output(), engineError) }

// output is what the engine printed in its last start, on one line: its first error, or
// the first line and where the others are, since they are the trace of a crash.
func (f folder) output() string {
	path := f.path("engine.out")
	text, err := os.ReadFile(path) // #nosec G304 -- our own file
	if err != nil {
		return ""
	}
	if i := strings.Index(string(text), engineError); i >= 0 {
		return shortened(strings.Join(strings.Fields(string(text[i:])), " "), 500)
	}
	first, rest, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	first = shortened(strings.TrimSpace(first), 200)
	if rest != "" {
		first += " …; all of it: " + path
	}
	return first
}

func shortened(line string, most int) string {
	if len(line) > most {
		line = line[:most] + " …"
	}
	return line
}

// writeFile replaces the file at path in one step: a reader, or a crash, sees the
// old content or the new one. The new content is not synced to disk.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, werr := tmp.Write(content)
	if err := errors.Join(werr, tmp.Chmod(mode), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
