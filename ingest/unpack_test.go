package ingest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sparseTar returns an archive of one file that begins with a text and is a hole from
// there up to its size: PAX format, sparse files version 1.0.
func sparseTar(name, text string, size int64) []byte {
	header := func(name string, kind byte, size int) []byte {
		b := make([]byte, 512)
		copy(b, name)
		copy(b[100:], "0000600\x000000000\x000000000\x00")
		copy(b[124:], fmt.Sprintf("%011o\x0000000000000\x00        %c", size, kind))
		copy(b[257:], "ustar\x0000")
		sum := 0
		for _, c := range b {
			sum += int(c)
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
		return b
	}
	padded := func(s string) []byte { return append([]byte(s), make([]byte, (512-len(s)%512)%512)...) }
	var records strings.Builder
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + name, fmt.Sprint("GNU.sparse.realsize=", size)} {
		n := len(r) + len("00 \n")
		fmt.Fprintf(&records, "%02d %s\n", n, r)
	}
	body := string(padded(fmt.Sprintf("1\n0\n%d\n", len(text)))) + text
	return bytes.Join([][]byte{
		header("x", tar.TypeXHeader, records.Len()), padded(records.String()),
		header("GNUSparseFile.0/"+name, tar.TypeReg, len(body)), padded(body), make([]byte, 1024),
	}, nil)
}

// A hole costs nothing in an archive, but what it is unpacked to counts.
func TestHolesCount(t *testing.T) {
	const size = 1 << 20
	for _, c := range []struct {
		name   string
		file   []byte
		budget int64
		err    error
	}{
		{"holes.log", sparseTar("holes.log", arena2, size), size, nil},
		{"holes.log", sparseTar("holes.log", arena2, size), size - 1, errTooBig},
		{"packed.log.zst", tarOf(t, "packed.log.zst", string(zst(t, make([]byte, size)))), 2 * size, nil},
		{"packed.log.zst", tarOf(t, "packed.log.zst", string(zst(t, make([]byte, size)))), size, errTooBig},
	} {
		archive := tar.NewReader(bytes.NewReader(c.file))
		h, err := archive.Next()
		if err != nil || h.Name != c.name {
			t.Fatal(h, err)
		}
		read := func(_, _ string, _ Format, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		}
		left := c.budget
		err = eachMember(h.Name, &bounded{t.Context(), archive, []*int64{&left}}, FormatByName, read, func() {})
		if !errors.Is(err, c.err) {
			t.Errorf("%s of %d bytes unpacked, %d left: %v", c.name, size, c.budget, err)
		}
	}
}

// What comes out of a small file may be without end, such as a hole: an import that is
// interrupted there ends all the same.
func TestImportInterrupted(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	hole := sparseTar("holes.log", arena2, 3<<30)
	for name, path := range map[string]string{
		"hole":        put(t, filepath.Join(dir, "hole.tar"), hole),
		"packed hole": put(t, filepath.Join(dir, "hole.tar.zst"), zst(t, hole)),
		"one of many": put(t, filepath.Join(dir, "many.tar"), append(tarOf(t, "a.log", arena2)[:1536], hole...)),
	} {
		n, _ := openNode(t, conn, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var last Progress
		_, err := n.Import(ctx, ImportOptions{Server: "arena", Region: "eu", Paths: []string{path}, Progress: func(p Progress) {
			last = p
			if p.Bytes == p.TotalBytes { // no byte of the file is read any more
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) || last.Bytes != last.TotalBytes || last.Files > 0 || last.Lines > 0 {
			t.Errorf("%s: it went on: %+v, %v", name, last, err)
		}
	}
}

// However large an input is, what is read ahead of it has a bound in bytes.
func TestReadAheadIsBounded(t *testing.T) {
	const events, width = 100, 1000
	line := func(i int) string {
		var attrs []string
		for k := range MaxAttrs {
			attrs = append(attrs, fmt.Sprintf(`"a%d":%q`, k, strings.Repeat("y", width)))
		}
		return fmt.Sprintf(`{"id":"i%d","type":"kill","at":"2026-11-21T07:00:00Z","player":"p","target":"rabbit","attrs":{%s}}`+"\n", i, strings.Join(attrs, ","))
	}
	var file strings.Builder
	for i := range events {
		file.WriteString(line(i))
	}
	path := put(t, filepath.Join(t.TempDir(), "wide.ndjson.zst"), zst(t, []byte(strings.Repeat(file.String(), 10))))
	synctest.Test(t, func(t *testing.T) {
		im := &importing{rd: &reading{server: "s", region: "r", zone: time.UTC}}
		ctx, cancel := context.WithCancel(t.Context())
		queue := make(chan batch, aheadBatches)
		done := make(chan struct{})
		go func() {
			im.read(ctx, input{path: path}, FormatByName, queue)
			close(done)
		}()
		synctest.Wait() // it is blocked: nobody takes
		held := 0
		for range len(queue) {
			b := <-queue
			held += b.size
			for _, p := range b.parts {
				if len(p.payloads) > partBytes+MaxAttrs*(width+10) {
					t.Errorf("a part of %d bytes", len(p.payloads))
				}
			}
		}
		if held < aheadBytes*aheadBatches || held > 2*aheadBytes*aheadBatches {
			t.Errorf("%d bytes are read ahead", held)
		}
		cancel()
		<-done
	})
}
