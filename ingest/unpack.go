package ingest

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

const ioBuffer = 256 << 10

// magics are the first bytes of what can be unpacked.
func magicOf(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(b, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "xz"
	case bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	}
	return ""
}

const magicBytes = 6

// unsqueeze returns what a stream holds unpacked once; the name decides how and
// the first bytes must agree. Close the result.
func unsqueeze(in io.Reader, how string) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(in, ioBuffer)
	head, err := b.Peek(magicBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if found := magicOf(head); found != how {
		if how == "" {
			return nil, fmt.Errorf("its content is %s, its name says it is not packed", found)
		}
		return nil, fmt.Errorf("its name says %s, its content is not", how)
	}
	switch how {
	case "gzip":
		return gzip.NewReader(b)
	case "xz":
		r, err := xz.NewReader(b, MaxWindowBytes)
		return io.NopCloser(r), err
	case "zstd":
		r, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(MaxWindowBytes), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}

// bounded reads up to what the budgets leave and fails beyond it, or when ctx ends. It
// lives as long as one call of Import. What comes out of a small file may be huge without
// that file being read meanwhile, such as a hole of an archive: so it asks ctx itself.
type bounded struct {
	ctx     context.Context
	in      io.Reader
	budgets []*int64 // bytes left of each
}

// errTooBig: unpacked, the input is larger than the limits allow.
var errTooBig = errors.New("unpacked it is larger than this program reads")

func (b *bounded) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	for _, left := range b.budgets {
		if *left < 0 {
			return 0, errTooBig
		}
		if int64(len(p)) > *left+1 { // one more, to see whether there is more
			p = p[:*left+1]
		}
	}
	n, err := b.in.Read(p)
	for _, left := range b.budgets {
		if *left -= int64(n); *left < 0 {
			return 0, errTooBig
		}
	}
	return n, err
}

// counted tells how many bytes were read.
type counted struct {
	in  io.Reader
	add func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.add(int64(n))
	return n, err
}

// input is one file of an import, packed or not.
type input struct {
	path  string
	found bool // in a folder, not named itself
}

// visit is called with a file's path in its archive, empty where it is none, and
// its base name without the endings of its packing.
type visit func(member, base string, format Format, r io.Reader) error

// each calls fn with every file that the input holds: itself or, of an archive, its
// members as they lie in it. Files that are not for the format go to skip. The
// stream is read to its very end, so that a truncated or damaged one is noticed.
func (in input) each(ctx context.Context, format Format, add func(int64), fn visit, skip func()) error {
	p := packingOf(filepath.Base(in.path))
	as := format.given(p.base)
	if in.found && !p.tar {
		var ok bool
		if as, ok = format.named(p.base); !ok {
			skip()
			return nil
		}
	}
	file, err := os.Open(in.path)
	if err != nil {
		return &InputError{Path: in.path, Err: reason(err)}
	}
	defer func() { _ = file.Close() }() // it was only read
	packed := &bounded{ctx: ctx, in: &counted{file, add}}
	stream, err := unsqueeze(packed, p.squeeze)
	if err != nil {
		return &InputError{Path: in.path, Err: err}
	}
	defer func() { _ = stream.Close() }() // every error of unpacking came by Read
	if !p.tar {
		left := int64(MaxMemberBytes)
		return in.wrap("", fn("", p.base, as, &bounded{ctx, stream, []*int64{&left}}))
	}
	// What the members give has a budget of its own beside the archive that they lie in:
	// a hole takes no room there.
	left, given := int64(MaxArchiveBytes), int64(MaxArchiveBytes)
	whole := &bounded{ctx, stream, []*int64{&left}}
	archive := tar.NewReader(whole)
	for members := 0; ; members++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && members >= MaxInputFiles {
			err = fmt.Errorf("it holds more than %d files", MaxInputFiles)
		}
		if err != nil {
			return &InputError{Path: in.path, Err: unexpected(err)}
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := eachMember(h.Name, &bounded{ctx, archive, []*int64{&given}}, format, fn, skip); err != nil {
			return in.wrap(h.Name, err)
		}
	}
	// The end of the archive is not the end of the packed stream, whose check sum
	// comes last.
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return &InputError{Path: in.path, Err: unexpected(err)}
	}
	return nil
}

func eachMember(name string, in *bounded, format Format, fn visit, skip func()) error {
	p := packingOf(path.Base(name))
	as, ok := format.named(p.base)
	if !ok || p.tar {
		skip()
		return nil
	}
	stream, err := unsqueeze(in, p.squeeze)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // every error of unpacking came by Read
	left := int64(MaxMemberBytes)
	budgets := []*int64{&left}
	if p.squeeze != "" {
		budgets = append(budgets, in.budgets...) // what comes out counts as well as what goes in
	}
	return fn(name, p.base, as, &bounded{in.ctx, stream, budgets})
}

func (in input) wrap(member string, err error) error {
	if err == nil {
		return nil
	}
	return &InputError{Path: in.path, Member: member, Err: unexpected(err)}
}

// unexpected says what a bare end of file means.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut off")
	}
	return err
}

// reason drops the path that an os error repeats.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
