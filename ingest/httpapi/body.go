package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// firstBytes is how many bytes are held for a body because it says that it has them. For
// more than that, only what has come counts: a sender that announces eight megabytes and
// sends none must not keep others out.
const firstBytes = 64 << 10

// leastBytes is what a body of unknown length begins with.
const leastBytes = 4 << 10

// maxWindowBytes bounds the memory that a zstd frame asks for: what every decoder must
// give, and what the usual levels use.
const maxWindowBytes = 8 << 20

// body is what a request sent, held within the limits.
type body struct {
	text  []byte
	limit int64
	lease *lease
}

func tooLarge(limit int64) error {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, reason: RefusedSize, close: true,
		detail: fmt.Sprintf("the body has more than %d bytes, packed or unpacked; nothing of it was kept: send it in parts", limit),
	}
}

func unreadable(format string, args ...any) error {
	return &refusal{status: http.StatusBadRequest, reason: RefusedForm, detail: fmt.Sprintf(format, args...)}
}

// readAll reads to the end. It never holds more than twice what has come.
func (b *body) readAll(in io.Reader, expected int64) error {
	if expected < 0 {
		expected = leastBytes
	}
	if err := b.grow(expected + 1); err != nil { // one more, to see the end
		return err
	}
	for {
		if len(b.text) == cap(b.text) {
			if err := b.grow(2 * int64(cap(b.text))); err != nil {
				return err
			}
		}
		n, err := in.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		var big *http.MaxBytesError
		switch {
		case int64(len(b.text)) > b.limit, errors.As(err, &big):
			return tooLarge(b.limit)
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, zstd.ErrWindowSizeExceeded):
			return &refusal{
				status: http.StatusUnsupportedMediaType, reason: RefusedType,
				detail: fmt.Sprintf("the body asks for a zstd window of more than %d bytes; pack it without --long and --ultra", maxWindowBytes),
			}
		case err != nil:
			return unreadable("the body cannot be read to its end: %v", err)
		}
	}
}

// grow makes room for size bytes, at most one more than the limit.
func (b *body) grow(size int64) error {
	size = min(size, b.limit+1)
	before := int64(cap(b.text))
	if size <= before {
		return nil
	}
	if err := b.lease.hold(size - before); err != nil {
		return err
	}
	text := make([]byte, len(b.text), size)
	copy(text, b.text)
	b.text = text
	return nil
}

// encodingOf returns how a body is packed: "", gzip or zstd. One packing of known name,
// once: several are a bomb's way to hide, and no sender needs them.
func encodingOf(header http.Header) (string, error) {
	values := header.Values("Content-Encoding")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) == 1 {
		switch strings.ToLower(strings.TrimSpace(values[0])) {
		case "identity", "":
			return "", nil
		case "gzip", "x-gzip":
			return "gzip", nil
		case "zstd":
			return "zstd", nil
		}
	}
	return "", &refusal{
		status: http.StatusUnsupportedMediaType, reason: RefusedType, close: true, allow: [2]string{"Accept-Encoding", "gzip, zstd"},
		detail: "Content-Encoding must be gzip or zstd, once, or absent",
	}
}

// unpacker unpacks bodies, one for each processor at a time: the work is the processor's
// alone, since the packed body is here already, and what decoders hold beside their
// output is bounded by their number.
type unpacker struct {
	idle chan *decoders
}

type decoders struct {
	gzip *gzip.Reader
	zstd *zstd.Decoder
}

func newUnpacker() *unpacker {
	u := &unpacker{idle: make(chan *decoders, runtime.GOMAXPROCS(0))}
	for range cap(u.idle) {
		u.idle <- &decoders{}
	}
	return u
}

// unpack returns the body that was packed in b, which is given back.
func (u *unpacker) unpack(ctx context.Context, b *body, encoding string, now func() time.Time) (*body, error) {
	var d *decoders
	select {
	case d = <-u.idle:
	case <-ctx.Done():
		return nil, unreadable("the sender has gone")
	}
	defer func() { u.idle <- d }()
	// Again: many may have waited here while the first of them turned out too large.
	if err := b.lease.mayUnpack(now()); err != nil {
		return nil, err
	}
	in, err := d.reader(bytes.NewReader(b.text), encoding)
	if err != nil {
		return nil, unreadable("the body is not %s: %v", encoding, err)
	}
	out := &body{limit: b.limit, lease: b.lease}
	if err := out.readAll(in, min(2*int64(len(b.text)), firstBytes)); err != nil {
		var why *refusal
		if errors.As(err, &why) && why.reason == RefusedSize {
			b.lease.bomb(now())
		}
		return nil, err
	}
	b.lease.drop(int64(cap(b.text)))
	return out, nil
}

// reader returns what unpacks in; it is valid until the next call.
func (d *decoders) reader(in io.Reader, encoding string) (_ io.Reader, err error) {
	if encoding == "gzip" {
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		return d.gzip, d.gzip.Reset(in)
	}
	if d.zstd == nil {
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindowBytes))
		if err != nil {
			return nil, err
		}
	}
	return d.zstd, d.zstd.Reset(in)
}
