package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"photofinish/rules"
)

// maxServers bounds the servers whose reports a node keeps.
const maxServers = 100_000

// forgetAfter is how many times SilentAfter a server is named as lagging before it
// is taken for switched off.
const forgetAfter = 96 // a day at the default of 15 minutes

// report is the last thing a server said about its time.
type report struct {
	UpToNs  int64 `json:"up_to_ns"` // corrected instant: it has told of everything before
	HeardNs int64 `json:"heard_ns"` // by the node's clock
}

// watermarks is what a node knows of its servers' progress. A restart continues
// with what was saved at the last Forward: a server that reported since is at
// worst taken to be a little further behind than it is.
type watermarks struct {
	Servers  map[string]report `json:"servers"`
	AtNs     int64             `json:"watermark_ns"` // the highest ever computed: it never goes back
	Imported int64             `json:"imported_ns"`  // the latest instant of an import; 0: none
}

// heard takes down that a server has told of everything before upTo.
func (w *watermarks) heard(server string, upTo rules.Instant, now time.Time) {
	r, known := w.Servers[server]
	if !known && len(w.Servers) >= maxServers {
		return // its events count all the same; only the watermark does not wait for it
	}
	w.Servers[server] = report{max(r.UpToNs, int64(upTo)), now.UnixNano()}
}

// at returns the watermark by now and the servers, sorted, that it no longer waits
// for. It is the minimum over the servers that are live; where none is, the highest
// thing any of them said, or that was imported.
func (w *watermarks) at(now time.Time, silentAfter time.Duration) (watermarkNs int64, lagging []string) {
	lowest, highest := int64(math.MaxInt64), w.Imported
	lagging = []string{}
	for name, r := range w.Servers { // order free: a minimum, a maximum and a sorted list
		silent := now.UnixNano() - r.HeardNs
		switch {
		case silent <= int64(silentAfter):
			lowest = min(lowest, r.UpToNs)
		case silent/forgetAfter > int64(silentAfter):
			delete(w.Servers, name)
		default:
			lagging = append(lagging, name)
		}
		highest = max(highest, r.UpToNs)
	}
	if lowest == math.MaxInt64 {
		lowest = highest
	}
	w.AtNs = max(w.AtNs, lowest)
	slices.Sort(lagging)
	return w.AtNs, lagging
}

func watermarksPath(dir string) string { return filepath.Join(dir, "watermarks.json") }

func loadWatermarks(dir string) (watermarks, error) {
	w := watermarks{Servers: map[string]report{}}
	b, err := os.ReadFile(watermarksPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		return w, fmt.Errorf("read watermarks: %w", err)
	}
	if w.Servers == nil {
		w.Servers = map[string]report{}
	}
	return w, nil
}

// save replaces the file at once, so that a crash leaves the old or the new one.
func (w *watermarks) save(dir string) error {
	b, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("save watermarks: %w", err)
	}
	path := watermarksPath(dir)
	f, err := os.CreateTemp(dir, "watermarks-*.tmp")
	if err != nil {
		return fmt.Errorf("save watermarks: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("save watermarks: %w", err)
	}
	return nil
}
