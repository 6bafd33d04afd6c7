package main

import (
	"context"
	"fmt"
	"time"

	"photofinish/settle/cost"
)

// usage is what something took.
type usage struct {
	wall   time.Duration
	cpu    time.Duration // of this process and of the engine
	sent   uint64        // statements of the connection
	rows   uint64        // that the server read for them
	allocs uint64        // objects that this process allocated
}

func (u usage) minus(o usage) usage {
	return usage{u.wall - o.wall, u.cpu - o.cpu, u.sent - o.sent, u.rows - o.rows, u.allocs - o.allocs}
}

func (u usage) plus(o usage) usage {
	return usage{u.wall + o.wall, u.cpu + o.cpu, u.sent + o.sent, u.rows + o.rows, u.allocs + o.allocs}
}

func (u usage) per(n uint64) usage {
	return usage{u.wall / time.Duration(n), u.cpu / time.Duration(n), u.sent / n, u.rows / n, u.allocs / n}
}

func (u usage) String() string {
	return fmt.Sprintf("%9s wall %9s CPU", u.wall.Round(10*time.Microsecond), u.cpu.Round(10*time.Microsecond))
}

func ratio(a, floor usage) string {
	return fmt.Sprintf("%.1f× wall, %.1f× CPU", float64(a.wall)/float64(floor.wall), float64(a.cpu)/float64(floor.cpu))
}

// meter reads what this process, the engine and the statements of one connection
// have used since they began. Nobody else may use the engine meanwhile.
type meter struct {
	conn cost.Conn
}

// measure runs work and returns what it took.
func (m meter) measure(ctx context.Context, work func() error) (usage, error) {
	before, err := m.read(ctx)
	if err != nil {
		return usage{}, err
	}
	if err := work(); err != nil {
		return usage{}, err
	}
	after, err := m.read(ctx)
	return after.minus(before), err
}

// read returns what was used so far; of the clock, what it says.
func (m meter) read(ctx context.Context) (usage, error) {
	total := m.conn.Meter.Total()
	u, err := ownSoFar()
	if err != nil {
		return u, err
	}
	u.sent, u.rows = total.Queries, total.RowsRead
	var engine uint64 // µs
	const asked = "SELECT sum(value) FROM system.events WHERE event = 'OSCPUVirtualTimeMicroseconds'"
	err = m.conn.Conn.QueryRow(ctx, asked).Scan(&engine)
	u.cpu += time.Duration(engine) * time.Microsecond
	return u, err
}
