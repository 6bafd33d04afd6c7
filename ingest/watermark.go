package ingest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"photofinish/rules"
)

// maxServers bounds the servers whose reports a node keeps.
const maxServers = 100_000

// forgetAfter is how many times SilentAfter a server is named as silent before it is
// taken for switched off.
const forgetAfter = 96 // a day at the default of 15 minutes

// report is how far a server has reported, heartbeats included.
type report struct {
	Region  string `json:"region"`
	ToldNs  int64  `json:"told_ns"` // the greatest earliest end of any of it
	AtNs    int64  `json:"at_ns"`   // the last stamp and number, by the server's own clock
	Seq     uint64 `json:"seq"`
	HeardNs int64  `json:"heard_ns"` // when, by the node's clock
}

// watermarks is what a node has promised and what it may promise. The promise is that no
// event that gets a later offset happened before the watermark, of the servers that the
// node waits for. After a restart it continues with what was saved at the last Forward:
// a server that reported since then is at worst taken to be further behind than it is.
type watermarks struct {
	Servers  map[string]report `json:"servers"`
	Imported map[string]int64  `json:"imported"` // by region, the greatest earliest end of an import, or what was said to be complete

	started int64            // when this process took the node, by its clock
	highest int64            // never falls within a process
	regions map[string]int64 // likewise, by region
}

// mark is a promise: of the whole node, of each region whose servers it knows, and the
// servers that it no longer waits for.
type mark struct {
	ns      int64
	regions []rules.RegionMark   // by region
	silent  []rules.SilentServer // by server
}

// order makes the record agree with what its server has reported before. An event that
// the server itself puts after all of that cannot have happened before it: its earliest
// end is raised, so that a new estimate of the server's clock cannot break a promise. An
// event that the server puts before something it reported stays as it is, and is marked
// backdated if it can have happened before the instant up to which the server reported.
func (w *watermarks) order(r *record) {
	said, known := w.Servers[r.Server]
	if !known {
		return
	}
	if cmp.Or(cmp.Compare(int64(r.At), said.AtNs), cmp.Compare(r.Seq, said.Seq)) < 0 {
		r.Backdated = r.Earliest < rules.Instant(said.ToldNs)
		return
	}
	r.Earliest = max(r.Earliest, rules.Instant(said.ToldNs))
	r.Latest = max(r.Latest, r.Earliest)
}

// reported notes that a server has reported the record.
func (w *watermarks) reported(r *record, now time.Time) {
	said, known := w.Servers[r.Server]
	if !known && len(w.Servers) >= maxServers {
		return // its events count all the same; only the watermark does not wait for it
	}
	if !known {
		said = report{ToldNs: math.MinInt64, AtNs: math.MinInt64}
	}
	if cmp.Or(cmp.Compare(int64(r.At), said.AtNs), cmp.Compare(r.Seq, said.Seq)) > 0 {
		said.AtNs, said.Seq = int64(r.At), r.Seq
	}
	said.Region, said.ToldNs = r.Region, max(said.ToldNs, int64(r.Earliest))
	said.HeardNs = max(said.HeardNs, now.UnixNano())
	w.Servers[r.Server] = said
}

// imported notes that a region's import is complete up to an instant.
func (w *watermarks) imported(region string, upTo rules.Instant) {
	if upTo > 0 {
		w.Imported[region] = max(w.Imported[region], int64(upTo))
	}
}

// known reports whether there is anything to promise.
func (w *watermarks) known() bool { return len(w.Servers)+len(w.Imported) > 0 }

// at returns the promise at now. It is the least instant up to which a live server has
// reported. Where no server is live it is silence before now: each had that long to
// report. Of a node that only imports it is the end of what it imported. It is never
// after now. A server is live if it was heard within silence; the time in which the node
// itself was down does not count.
func (w *watermarks) at(now time.Time, silence time.Duration) mark {
	nowNs := now.UnixNano()
	m := mark{silent: []rules.SilentServer{}, regions: []rules.RegionMark{}}
	least := map[string]int64{} // by region
	for _, name := range slices.Sorted(maps.Keys(w.Servers)) {
		r := w.Servers[name]
		quiet := nowNs - max(r.HeardNs, w.started)
		if quiet/forgetAfter > int64(silence) {
			delete(w.Servers, name)
			continue
		}
		if _, seen := least[r.Region]; !seen {
			least[r.Region] = math.MaxInt64
		}
		if quiet > int64(silence) {
			m.silent = append(m.silent, rules.SilentServer{Server: name, Watermark: rules.Instant(r.ToldNs), Since: rules.Instant(r.HeardNs)})
			continue
		}
		least[r.Region] = min(least[r.Region], r.ToldNs)
	}
	all := int64(math.MaxInt64)
	for _, region := range slices.Sorted(maps.Keys(least)) {
		all = min(all, least[region])
		w.raise(region, min(nowNs, orSilent(least[region], nowNs, silence)))
	}
	switch {
	case len(least) > 0:
		w.highest = max(w.highest, min(nowNs, orSilent(all, nowNs, silence)))
	default:
		for upTo := range maps.Values(w.Imported) { // order free: a maximum
			w.highest = max(w.highest, min(nowNs, upTo))
		}
	}
	for _, region := range slices.Sorted(maps.Keys(w.Imported)) {
		if _, live := least[region]; !live {
			w.raise(region, min(nowNs, w.Imported[region]))
		}
	}
	m.ns = w.highest
	for _, region := range slices.Sorted(maps.Keys(w.regions)) {
		m.regions = append(m.regions, rules.RegionMark{Region: region, Watermark: rules.Instant(w.regions[region])})
	}
	return m
}

// orSilent returns least, or where no server is live, and least is therefore the greatest
// number, the instant silence before now.
func orSilent(least, nowNs int64, silence time.Duration) int64 {
	if least == math.MaxInt64 {
		return nowNs - int64(silence)
	}
	return least
}

func (w *watermarks) raise(region string, ns int64) {
	if before, known := w.regions[region]; !known || ns > before {
		w.regions[region] = ns
	}
}

func watermarksPath(dir string) string { return filepath.Join(dir, "watermarks.json") }

func loadWatermarks(dir string, now time.Time) (watermarks, error) {
	w := watermarks{
		Servers: map[string]report{}, Imported: map[string]int64{},
		started: now.UnixNano(), highest: math.MinInt64, regions: map[string]int64{},
	}
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
