package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// What servers have reported is kept in a file beside the spool: one line of JSON, and its
// CRC-32C in hex. It is written best effort, since it can be made again: what is newer
// stands in the spool, and if it is lost the node's last word says what was promised.

func watermarksPath(dir string) string { return filepath.Join(dir, "watermarks.json") }

func watermarksSum(line []byte) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli)))
}

// loadWatermarks returns what was saved, and whether that was whole. An error says why
// not; what is returned with it is empty and good to go on with.
func loadWatermarks(dir string, now time.Time) (w watermarks, whole bool, err error) {
	b, err := os.ReadFile(watermarksPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return newWatermarks(now), false, nil
	}
	if err != nil {
		return newWatermarks(now), false, fmt.Errorf("read what servers reported: %w", err)
	}
	line, sum, _ := bytes.Cut(b, []byte{'\n'})
	w = newWatermarks(now)
	if string(sum) != watermarksSum(line) {
		return newWatermarks(now), false, fmt.Errorf("read what servers reported: %s is damaged", watermarksPath(dir))
	}
	if err := json.Unmarshal(line, &w); err != nil {
		return newWatermarks(now), false, fmt.Errorf("read what servers reported: %w", err)
	}
	return w, true, nil
}

// save replaces the file at once and syncs its folder, so that a crash leaves the old or
// the new one.
func (w *watermarks) save(dir string) error {
	line, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("save what servers reported: %w", err)
	}
	f, err := os.CreateTemp(dir, "watermarks-*.tmp")
	if err != nil {
		return fmt.Errorf("save what servers reported: %w", err)
	}
	_, err = f.Write(append(line, "\n"+watermarksSum(line)...))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), watermarksPath(dir))
	}
	if err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("save what servers reported: %w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the node's own folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
