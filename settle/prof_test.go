package settle_test

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/settle"
)

type profConn struct {
	driver.Conn
	mu sync.Mutex
	t  map[string]time.Duration
	n  map[string]int
	r  map[string]uint64
}

func (p *profConn) add(q string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(q) > 90 {
		q = q[:90]
	}
	p.t[q] += d
	p.n[q]++
}

func (p *profConn) ctx(ctx context.Context, q string) context.Context {
	if len(q) > 90 {
		q = q[:90]
	}
	return clickhouse.Context(ctx, clickhouse.WithProgress(func(pr *clickhouse.Progress) { p.mu.Lock(); p.r[q] += pr.Rows; p.mu.Unlock() }))
}
func (p *profConn) Query(ctx context.Context, q string, a ...any) (driver.Rows, error) {
	t := time.Now()
	r, err := p.Conn.Query(p.ctx(ctx, q), q, a...)
	p.add(q, time.Since(t))
	return r, err
}
func (p *profConn) QueryRow(ctx context.Context, q string, a ...any) driver.Row {
	t := time.Now()
	r := p.Conn.QueryRow(p.ctx(ctx, q), q, a...)
	p.add(q, time.Since(t))
	return r
}
func (p *profConn) Exec(ctx context.Context, q string, a ...any) error {
	t := time.Now()
	err := p.Conn.Exec(p.ctx(ctx, q), q, a...)
	p.add(q, time.Since(t))
	return err
}

func TestProf(t *testing.T) {
	inputs, _, through := days(t)
	w := newWorld(t, clickhousetest.New(t))
	w.importLogs("a", inputs...)
	p := &profConn{Conn: w.conn, t: map[string]time.Duration{}, n: map[string]int{}, r: map[string]uint64{}}
	w.conn = p
	t0 := time.Now()
	r := w.run(settle.Config{}, through)
	fmt.Println(r.Cuts, time.Since(t0))
	var keys []string
	for k := range p.t {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return p.t[keys[i]] > p.t[keys[j]] })
	for _, k := range keys[:min(24, len(keys))] {
		fmt.Printf("%8d ms %5d x %9d rows  %q\n", p.t[k].Milliseconds(), p.n[k], p.r[k], k)
	}
}
