package clickhouse

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

const (
	// libraryName is the library's name in the package and in the cache.
	libraryName = "libchdb.so"
	// libraryLimit bounds what is unpacked.
	libraryLimit = 4 << 30
)

// A stamp is kept beside a library that was unpacked whole. It is written last,
// so that a library without one is not whole.
type stamp struct {
	Package   string `json:"package"`
	Integrity string `json:"integrity"`
	Size      int64  `json:"size"`
	ModTimeNs int64  `json:"mod_time_ns"`
	SHA256    string `json:"sha256"`
}

func stampPath(dir string) string { return filepath.Join(dir, libraryName+".json") }

// checkStamp reports whether dir holds the whole library of pkg. Size and
// modification time must be those of the unpacking; if only the time differs (a
// copied folder, a write), or verify is set, the content is read and must have
// its digest.
func checkStamp(dir string, pkg enginePackage, verify bool) bool {
	text, err := os.ReadFile(stampPath(dir)) // #nosec G304 -- our cache
	if err != nil {
		return false
	}
	var s stamp
	if json.Unmarshal(text, &s) != nil || s.Package != pkg.spec() || s.Integrity != pkg.integrity {
		return false
	}
	path := filepath.Join(dir, libraryName)
	stat, err := os.Stat(path)
	if err != nil || stat.Size() != s.Size {
		return false
	}
	if stat.ModTime().UnixNano() == s.ModTimeNs && !verify {
		return true
	}
	sum := sha256.New()
	if err := digestFile(path, sum); err != nil || hex.EncodeToString(sum.Sum(nil)) != s.SHA256 {
		return false
	}
	s.ModTimeNs = stat.ModTime().UnixNano()
	_ = writeStamp(dir, s) // only saves reading it next time
	return true
}

// install checks the tarball, unpacks the library from it and moves it into dir.
// The tarball is in tmp, which is on the same file system.
func install(tarball, tmp, dir string, pkg enginePackage) error {
	if err := checkIntegrity(tarball, pkg); err != nil {
		return err
	}
	unpacked := filepath.Join(tmp, libraryName)
	s, err := unpack(tarball, unpacked)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", pkg.spec(), err)
	}
	s.Package, s.Integrity = pkg.spec(), pkg.integrity
	// No stamp while the library is exchanged: a crash between leaves no library
	// that passes for whole.
	if err := os.RemoveAll(stampPath(dir)); err != nil {
		return fmt.Errorf("keep the ClickHouse engine: %w", err)
	}
	if err := os.Rename(unpacked, filepath.Join(dir, libraryName)); err != nil {
		return fmt.Errorf("keep the ClickHouse engine: %w", err)
	}
	return writeStamp(dir, s)
}

// checkIntegrity compares the tarball with the pinned digest, if there is one.
func checkIntegrity(tarball string, pkg enginePackage) error {
	if pkg.integrity == "" {
		return nil
	}
	sum := sha512.New()
	if err := digestFile(tarball, sum); err != nil {
		return fmt.Errorf("check %s: %w", pkg.spec(), err)
	}
	if have := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); have != pkg.integrity {
		return fmt.Errorf("the tarball of %s is damaged or not the published one: it has integrity %s, want %s", pkg.spec(), have, pkg.integrity)
	}
	return nil
}

// unpack writes the library in the tarball to path, syncs it to disk and returns
// its stamp. Nothing else is unpacked.
func unpack(tarball, path string) (s stamp, err error) {
	file, err := os.Open(tarball) // #nosec G304 -- what npm wrote
	if err != nil {
		return s, err
	}
	defer func() { _ = file.Close() }()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		return s, err
	}
	archive := tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return s, fmt.Errorf("no %s in it", libraryName)
		}
		if err != nil {
			return s, err
		}
		if header.Typeflag == tar.TypeReg && header.Name == "package/"+libraryName {
			break
		}
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- our cache
	if err != nil {
		return s, err
	}
	sum := sha256.New()
	s.Size, err = io.Copy(io.MultiWriter(out, sum), io.LimitReader(archive, libraryLimit))
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return s, err
	}
	stat, err := os.Stat(path)
	if err != nil {
		return s, err
	}
	s.ModTimeNs = stat.ModTime().UnixNano()
	s.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

func writeStamp(dir string, s stamp) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep the ClickHouse engine: %w", err)
	}
	return writeFile(stampPath(dir), append(text, '\n'), 0o600)
}

func digestFile(path string, sum hash.Hash) error {
	file, err := os.Open(path) // #nosec G304 -- our cache
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(sum, file)
	return err
}
