package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// The simulated disk has small sectors, so that a round is torn in many ways.
const simSector = 64

var (
	errKilled = errors.New("the process is dead")
	errEIO    = errors.New("input/output error")
	errNoSpc  = errors.New("no space left on device")
)

// simFile is a file in the page cache and on the disk.
type simFile struct {
	data, disk []byte
	dirty      []bool // of each sector: no sync has covered it
}

func (f *simFile) write(at int64, b []byte) {
	if grow := int(at) + len(b) - len(f.data); grow > 0 {
		f.data = append(f.data, make([]byte, grow)...)
	}
	if grow := (len(f.data)+simSector-1)/simSector - len(f.dirty); grow > 0 {
		f.dirty = append(f.dirty, make([]bool, grow)...)
	}
	copy(f.data[at:], b)
	if len(b) > 0 {
		for i := int(at) / simSector; i <= (int(at)+len(b)-1)/simSector; i++ {
			f.dirty[i] = true
		}
	}
}

func (f *simFile) persist(i int) {
	a, b := i*simSector, min((i+1)*simSector, len(f.data))
	if grow := b - len(f.disk); grow > 0 {
		f.disk = append(f.disk, make([]byte, grow)...)
	}
	copy(f.disk[a:b], f.data[a:b])
}

// sectors returns those that no sync has covered.
func (f *simFile) sectors() (list []int) {
	for i, dirty := range f.dirty {
		if dirty {
			list = append(list, i)
		}
	}
	return list
}

// simDisk is a disk below a page cache. What happens to it is up to its random numbers.
type simDisk struct {
	mu             sync.Mutex
	r              *rand.Rand
	names, durable map[string]*simFile // what a process sees; what a power cut leaves
	dirs           map[string]bool
	owner          *simFS // holds the lock
	retired        [][]byte
	free           int64

	failSync, failWrite int // of the next so many calls
	failDir             int
	failRead            int
}

func newDisk(r *rand.Rand) *simDisk {
	return &simDisk{r: r, names: map[string]*simFile{}, durable: map[string]*simFile{}, dirs: map[string]bool{}, free: 1 << 40}
}

// simFS is what one process sees of the disk, until it is killed.
type simFS struct {
	d    *simDisk
	left int // operations until it is killed; negative: never
	dead bool
}

func (d *simDisk) process() *simFS { return &simFS{d: d, left: -1} }

// step counts an operation and reports whether the process dies in it.
func (p *simFS) step() bool {
	if p.left > 0 {
		p.left--
		if p.left == 0 {
			p.dead = true
			return true
		}
	}
	return false
}

func (p *simFS) kill() { p.dead = true }

type simLock struct{ p *simFS }

func (l simLock) Close() error {
	l.p.d.mu.Lock()
	defer l.p.d.mu.Unlock()
	if l.p.d.owner == l.p {
		l.p.d.owner = nil
	}
	return nil
}

func (p *simFS) Lock(string) (io.Closer, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.d.owner != nil && !p.d.owner.dead {
		return nil, ErrLocked
	}
	p.d.owner = p
	return simLock{p}, nil
}

func (p *simFS) MkdirAll(dir string) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.dead {
		return errKilled
	}
	p.d.dirs[dir] = true
	return nil
}

func (p *simFS) ReadDir(dir string) ([]Entry, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if !p.d.dirs[dir] {
		return nil, fs.ErrNotExist
	}
	var list []Entry
	for _, path := range slices.Sorted(maps.Keys(p.d.names)) {
		if filepath.Dir(path) == dir {
			list = append(list, Entry{filepath.Base(path), int64(len(p.d.names[path].data))})
		}
	}
	return list, nil
}

type simHandle struct {
	p *simFS
	f *simFile
}

func (p *simFS) Open(path string) (File, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	f, ok := p.d.names[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &simHandle{p, f}, nil
}

// change carries out what is done to names.
func (p *simFS) change(do func() error) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.dead || p.step() {
		return errKilled
	}
	return do()
}

func (p *simFS) Create(path string) (f File, err error) {
	err = p.change(func() error {
		if _, ok := p.d.names[path]; ok {
			return fs.ErrExist
		}
		s := &simFile{}
		p.d.names[path] = s
		f = &simHandle{p, s}
		return nil
	})
	return f, err
}

func (p *simFS) Place(from, to string) error {
	return p.change(func() error {
		if _, ok := p.d.names[to]; ok {
			return fs.ErrExist
		}
		p.d.names[to] = p.d.names[from]
		delete(p.d.names, from)
		return nil
	})
}

func (p *simFS) Rename(from, to string) error {
	return p.change(func() error {
		if _, ok := p.d.names[from]; !ok {
			return fs.ErrNotExist
		}
		p.d.names[to] = p.d.names[from]
		delete(p.d.names, from)
		return nil
	})
}

func (p *simFS) Remove(path string) error {
	return p.change(func() error {
		f, ok := p.d.names[path]
		if !ok {
			return fs.ErrNotExist
		}
		if strings.HasSuffix(path, suffix) {
			p.d.retired = append(p.d.retired, slices.Clone(f.data))
		}
		delete(p.d.names, path)
		return nil
	})
}

func (p *simFS) SyncDir(string) error {
	return p.change(func() error {
		if p.d.failDir > 0 {
			p.d.failDir--
			return errEIO
		}
		p.d.durable = maps.Clone(p.d.names)
		return nil
	})
}

func (p *simFS) Free(string) (int64, error) { return p.d.free, nil }

func (h *simHandle) Close() error { return nil }

func (h *simHandle) ReadAt(b []byte, at int64) (int, error) {
	h.p.d.mu.Lock()
	defer h.p.d.mu.Unlock()
	if h.p.d.failRead > 0 {
		h.p.d.failRead--
		return 0, errEIO
	}
	if at >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.f.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *simHandle) WriteAt(b []byte, at int64) (int, error) {
	d := h.p.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.p.dead {
		return 0, errKilled
	}
	if h.p.step() {
		h.f.write(at, b[:d.r.IntN(len(b)+1)])
		return 0, errKilled
	}
	if d.failWrite > 0 {
		d.failWrite--
		n := d.r.IntN(len(b))
		h.f.write(at, b[:n])
		return n, errNoSpc
	}
	h.f.write(at, b)
	return len(b), nil
}

// Sync that fails writes some sectors and calls all of them clean, as Linux does.
func (h *simHandle) Sync() error {
	d := h.p.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.p.dead || h.p.step() {
		return errKilled
	}
	failing := d.failSync > 0
	if failing {
		d.failSync--
	}
	for _, i := range h.f.sectors() {
		if !failing || d.r.IntN(2) == 0 {
			h.f.persist(i)
		}
	}
	clear(h.f.dirty)
	if failing {
		return errEIO
	}
	return nil
}

func (h *simHandle) Datasync() error { return h.Sync() }

// powerCut leaves any of the sectors and names that no sync has covered. Where a
// file grew and its bytes did not arrive, there are zeros, or what an older file left.
func (d *simDisk) powerCut() {
	if d.owner != nil {
		d.owner.dead = true
	}
	all := maps.Clone(d.durable)
	maps.Copy(all, d.names)
	files := map[*simFile]bool{}
	var order []*simFile
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, f := range []*simFile{d.durable[name], d.names[name]} {
			if f != nil && !files[f] {
				files[f] = true
				order = append(order, f)
			}
		}
		if d.names[name] != d.durable[name] && d.r.IntN(2) == 0 {
			if d.names[name] != nil {
				d.durable[name] = d.names[name]
			} else {
				delete(d.durable, name)
			}
		}
	}
	for _, f := range order {
		p := []float64{0, .5, .5, 1}[d.r.IntN(4)]
		before := len(f.disk)
		for _, i := range f.sectors() {
			if d.r.Float64() < p {
				f.persist(i)
			}
		}
		if len(f.sectors()) > 0 && d.r.IntN(2) == 0 && len(f.disk) < len(f.data) {
			f.disk = append(f.disk, make([]byte, len(f.data)-len(f.disk))...)
		}
		if len(d.retired) > 0 && d.r.IntN(2) == 0 {
			old := d.retired[d.r.IntN(len(d.retired))]
			for _, i := range f.sectors() {
				a, b := i*simSector, min((i+1)*simSector, len(f.disk), len(old))
				if a >= before && a < b && !slices.Equal(f.disk[a:b], f.data[a:min(b, len(f.data))]) {
					copy(f.disk[a:b], old[a:b])
				}
			}
		}
		clear(f.dirty)
		f.data = slices.Clone(f.disk)
	}
	d.names = maps.Clone(d.durable)
}

// segments returns the paths of the segments, oldest first.
func (d *simDisk) segments() []string {
	var list []string
	for _, path := range slices.Sorted(maps.Keys(d.names)) {
		if _, ok := segmentNumber(filepath.Base(path)); ok && filepath.Dir(path) == simDir {
			list = append(list, path)
		}
	}
	return list
}

const simDir = "/spool"

// spoil changes a file where it is: in memory and on the disk.
func (d *simDisk) spoil(path string, do func([]byte) []byte) {
	f := d.names[path]
	if f == nil {
		panic(fmt.Sprint("no file ", path))
	}
	f.data, f.disk = do(f.data), do(f.disk)
	f.dirty = f.dirty[:min(len(f.dirty), (len(f.data)+simSector-1)/simSector)]
}
