package clickhouse

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A query may take longer than a server may be silent; a server that is silent for
// longer, or a deadline that the driver set, ends it.
func TestPatient(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	read := func(deadline time.Duration, words int, pause time.Duration) (int, error) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			defer theirs.Close()
			for range words {
				time.Sleep(pause)
				if _, err := theirs.Write([]byte{1}); err != nil {
					return
				}
			}
			time.Sleep(2 * limit)
		}()
		p := &patient{Conn: ours, limit: limit}
		if err := p.SetReadDeadline(time.Now().Add(deadline)); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			if _, err := p.Read(make([]byte, 1)); err != nil || n+1 == words {
				return n + 1, err
			}
		}
	}
	if n, err := read(time.Hour, 20, limit/10); n != 20 || err != nil {
		t.Errorf("of a busy server %d words were read: %v", n, err)
	}
	if _, err := read(time.Hour, 1, 2*limit); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
	if _, err := read(limit/2, 20, limit/10); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the driver's own deadline: %v", err)
	}
}
