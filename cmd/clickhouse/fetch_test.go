package clickhouse

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakeNpm is an npm in PATH that counts its runs and packs a small library.
type fakeNpm struct {
	dir string
	pkg enginePackage
}

const fakeLibrary = "not really a library"

// newFakeNpm puts it into PATH, followed by script, for the rest of the test.
func newFakeNpm(t *testing.T, script string) fakeNpm {
	t.Helper()
	var tarball bytes.Buffer
	zipped := gzip.NewWriter(&tarball)
	archive := tar.NewWriter(zipped)
	for _, name := range []string{"package/package.json", "package/libchdb.so", "package/../../evil"} {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(fakeLibrary))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(fakeLibrary)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(tarball.Bytes())
	f := fakeNpm{dir: t.TempDir(), pkg: enginePackage{
		name: "@fake/lib", version: "1.2.3", megabytes: 1,
		integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
	}}
	if err := os.WriteFile(filepath.Join(f.dir, "source"), tarball.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\ncd '" + f.dir + "' || exit 1\necho \"$@\" >> runs\necho 'npm warn Unknown user config' >&2\n" + script
	if err := os.WriteFile(filepath.Join(f.dir, "npm"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", f.dir+":/usr/bin:/bin")
	return f
}

// pack is the script of an npm that works: its fifth argument is the folder.
const pack = "sleep 0.1; cp source \"$5/fake-lib-1.2.3.tgz\"\n"

// runs returns how often npm ran.
func (f fakeNpm) runs(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "runs"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "pack @fake/lib@1.2.3 --ignore-scripts")
}

// Whoever comes at the same time, the library is fetched once; the others wait
// for it, and only one announces it.
func TestFetchOnce(t *testing.T) {
	npm := newFakeNpm(t, pack)
	var progress bytes.Buffer // written under the fetch's lock only
	cache := libraryCache{pkg: npm.pkg, dirs: []string{t.TempDir()}, progress: &progress}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := cache.find(t.Context(), false)
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != fakeLibrary {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
	wg.Wait()
	if n := npm.runs(t); n != 1 {
		t.Errorf("npm ran %d times, want once", n)
	}
	if n := strings.Count(progress.String(), "fetching the ClickHouse engine, 1 MB, once"); n != 1 {
		t.Errorf("announced %d times: %s", n, progress.String())
	}
	entries, err := filepath.Glob(filepath.Join(cache.dirs[0], "*", "*"))
	if err != nil || len(entries) != 3 { // library, stamp, lock
		t.Errorf("the cache holds %v, %v", entries, err)
	}
}

// A library that is not what was unpacked is fetched again, however it was
// damaged; one that was only touched is not.
func TestFetchDamaged(t *testing.T) {
	npm := newFakeNpm(t, pack)
	var progress bytes.Buffer
	cache := libraryCache{pkg: npm.pkg, dirs: []string{t.TempDir()}, progress: &progress}
	path, err := cache.find(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name   string
		damage func()
		verify bool
		fetch  bool
		told   bool // that it is damaged
	}{
		{"nothing", func() {}, false, false, false},
		{"nothing, read whole", func() {}, true, false, false},
		{"touched", func() { write(fakeLibrary) }, false, false, false},
		{"cut off", func() { write(fakeLibrary[:9]) }, false, true, true},
		{"other bytes", func() { write(strings.ToUpper(fakeLibrary)) }, false, true, true},
		{"other bytes of the same time, when it does not work", func() {
			write(strings.ToUpper(fakeLibrary))
			_ = os.Chtimes(path, stat.ModTime(), stat.ModTime())
		}, true, true, true},
		{"gone", func() { _ = os.Remove(path) }, false, true, false},
		{"no stamp", func() { _ = os.Remove(stampPath(filepath.Dir(path))) }, false, true, false},
		{"broken stamp", func() { _ = os.WriteFile(stampPath(filepath.Dir(path)), []byte("{"), 0o600) }, false, true, true},
	} {
		before := npm.runs(t)
		progress.Reset()
		c.damage()
		if _, err := cache.find(t.Context(), c.verify); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != fakeLibrary {
			t.Errorf("%s: got %q, %v", c.name, text, err)
		}
		if fetched := npm.runs(t) > before; fetched != c.fetch {
			t.Errorf("%d %s: fetched %v, want %v", i, c.name, fetched, c.fetch)
		}
		if said := progress.String(); strings.HasPrefix(said, "the ClickHouse engine in "+filepath.Dir(path)+" is damaged: fetching it again, 1 MB") != c.told {
			t.Errorf("%d %s: said %q", i, c.name, said)
		}
	}
}

// Where the engine cannot be had the error says why and names the three ways
// out, on one line, and nothing that is not whole is kept.
func TestFetchFails(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"no network", "echo 'npm error code EAI_AGAIN' >&2; echo 'npm error request failed' >&2; echo 'npm error A complete log of this' >&2; exit 1\n", "code EAI_AGAIN, request failed;"},
		{"damaged on the way", "cp source \"$5/x.tgz\"; echo x >> \"$5/x.tgz\"\n", "want sha512-"},
		{"cut off", "head -c 100 source > \"$5/x.tgz\"\n", "want sha512-"},
		{"nothing", "exit 0\n", "left 0 tarballs"},
		{"no npm", "", "npm, which fetches it, is not installed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			npm := newFakeNpm(t, c.script)
			if c.script == "" {
				t.Setenv("PATH", t.TempDir())
			}
			cache := libraryCache{pkg: npm.pkg, dirs: []string{t.TempDir()}}
			_, err := cache.find(t.Context(), false)
			if !errors.Is(err, ErrNoEngine) {
				t.Fatalf("got %v, want ErrNoEngine", err)
			}
			for _, want := range []string{c.want, "npm pack @fake/lib@1.2.3", "clickhouse.library", "PHOTOFINISH_CLICKHOUSE_LIBRARY", "clickhouse.addrs"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(cache.dirs[0], "*", "*")); len(left) != 1 {
				t.Errorf("left %v, want only the lock", left)
			}
		})
	}
}

// A fetch that takes long ends with its context.
func TestFetchCancelled(t *testing.T) {
	npm := newFakeNpm(t, "exec sleep 60\n")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	cache := libraryCache{pkg: npm.pkg, dirs: []string{t.TempDir()}}
	start := time.Now()
	if _, err := cache.find(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

// Without a home, or with one that cannot be written to, there is still a place.
func TestCacheWithoutHome(t *testing.T) {
	npm := newFakeNpm(t, pack)
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if dirs := cacheDirs(data); dirs[len(dirs)-1] != filepath.Join(data, "clickhouse", "cache") {
		t.Errorf("got %v", dirs)
	}
	cache := libraryCache{pkg: npm.pkg, dirs: []string{filepath.Join(file, "x"), filepath.Join(data, "y")}}
	path, err := cache.find(t.Context(), false)
	if err != nil || !strings.HasPrefix(path, data) {
		t.Errorf("got %s, %v", path, err)
	}
}
