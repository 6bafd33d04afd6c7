package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// refusedKind is a request that is refused, or several kinds of them in turn, and how it
// may be answered.
type refusedKind struct {
	name     string
	requests [][]byte
	answers  []int
}

type refusedList []refusedKind

func (l refusedList) all() refusedKind {
	all := refusedKind{name: "all of these"}
	for _, k := range l {
		all.requests = append(all.requests, k.requests...)
		all.answers = append(all.answers, k.answers...)
	}
	return all
}

// bombBytes is what a bomb has unpacked.
const bombBytes = 128 << 20

// refusedKinds are requests with the key of a server, or with none, none of which may be
// taken. A sender that is refused too often may be told to stay away.
func refusedKinds(key string) (refusedList, error) {
	event := lines(1, 1)
	wrong := key[:len(key)-1] + "x"
	large := bytes.Replace(push(key, nil), []byte("Content-Length: 0"), fmt.Appendf(nil, "Content-Length: %d", 9<<20), 1)
	foreign := []byte(`{"specversion":"1.0","id":"1","source":"` + honestName + `","type":"a.kill","time":"2026-11-21T07:00:00Z","data":{"player":"p"}}`)
	var zipped, packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	if err != nil {
		return nil, err
	}
	for _, w := range []io.WriteCloser{gzip.NewWriter(&zipped), z} {
		block := bytes.Repeat([]byte("\n"), 1<<20)
		for range bombBytes >> 20 {
			if _, err := w.Write(block); err != nil {
				return nil, err
			}
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	}
	return refusedList{
		{"a wrong key", [][]byte{push(wrong, event)}, []int{http.StatusUnauthorized, http.StatusTooManyRequests}},
		{"too large", [][]byte{large}, []int{http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}},
		{"an unknown encoding", [][]byte{push(key, event, "Content-Encoding: br")}, []int{http.StatusUnsupportedMediaType, http.StatusTooManyRequests}},
		{"128 MB of gzip", [][]byte{push(key, zipped.Bytes(), "Content-Encoding: gzip")}, []int{http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}},
		{"128 MB of zstd", [][]byte{push(key, packed.Bytes(), "Content-Encoding: zstd")}, []int{http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}},
		{"another server's events", [][]byte{post("/v1/events", foreign, "Authorization: Bearer "+key, "Content-Type: application/cloudevents+json")}, []int{http.StatusForbidden, http.StatusTooManyRequests}},
	}, nil
}

// refusedCount is how requests were refused.
type refusedCount struct {
	took   time.Duration
	status statusCounts
}

type statusCounts map[int]int

// String lists them in order.
func (c statusCounts) String() string {
	var said []string
	for _, status := range slices.Sorted(maps.Keys(c)) {
		said = append(said, fmt.Sprintf("%d×%d", c[status], status))
	}
	return strings.Join(said, " ")
}

func (c refusedCount) perSecond() int {
	n := 0
	for _, count := range c.status {
		n += count
	}
	return int(float64(n) / c.took.Seconds())
}

// flooders is how many connections the refused requests come by.
const flooders = 64

// flood sends requests at a rate until ctx is done, and checks each answer.
func (k *refusedKind) flood(ctx context.Context, addr string, rate int) (refusedCount, error) {
	began := time.Now()
	var sent atomic.Int64
	counts := make([]statusCounts, flooders)
	errs := make([]error, flooders)
	var all sync.WaitGroup
	for i := range flooders {
		all.Go(func() {
			counts[i] = statusCounts{}
			var c *client
			defer func() {
				if c != nil {
					errs[i] = errors.Join(errs[i], c.close())
				}
			}()
			for {
				// Each is due at its own time, whoever sends it; a node that is slow to refuse
				// is asked less often.
				n := sent.Add(1) - 1
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(rate)))):
				}
				var err error
				if c == nil {
					if c, err = dial(ctx, addr); err != nil {
						c = nil
						if ctx.Err() == nil {
							errs[i] = err
						}
						return
					}
				}
				status, body, err := c.send(k.requests[int(n)%len(k.requests)])
				if err != nil || status >= http.StatusBadRequest {
					// Refused, it may be cut off in the middle of its body.
					_ = c.close()
					c = nil
				}
				if err != nil {
					counts[i][0]++
					continue
				}
				counts[i][status]++
				if !slices.Contains(k.answers, status) && status != http.StatusServiceUnavailable {
					errs[i] = void("answered %d: %.200s", status, body)
					return
				}
			}
		})
	}
	all.Wait()
	total := refusedCount{took: time.Since(began), status: statusCounts{}}
	for _, c := range counts {
		for status, n := range c { // order free: sums
			total.status[status] += n
		}
	}
	return total, errors.Join(errs...)
}
