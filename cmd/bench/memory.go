package main

import (
	"context"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// memory is what was used at most, in bytes.
type memory struct {
	heap     uint64 // of this process
	resident uint64 // of this process; 0 where the system does not say
	engine   uint64 // as the engine counts it
	err      error
}

// memoryWatch looks at the memory until it is stopped.
type memoryWatch struct {
	cancel context.CancelFunc
	result chan memory
}

// watchMemory begins to look at the memory, some times a second.
func watchMemory(ctx context.Context, s *scene) *memoryWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &memoryWatch{cancel, make(chan memory, 1)}
	go func() {
		var peak memory
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			now := usedMemory(ctx, s)
			if ctx.Err() != nil {
				tick.Stop()
				w.result <- peak
				return
			}
			peak = memory{max(peak.heap, now.heap), max(peak.resident, now.resident), max(peak.engine, now.engine), now.err}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return w
}

// stop ends the watch and returns the peak.
func (w *memoryWatch) stop() (memory, error) {
	w.cancel()
	peak := <-w.result
	return peak, peak.err
}

func usedMemory(ctx context.Context, s *scene) memory {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(samples)
	m := memory{heap: samples[0].Value.Uint64() + samples[1].Value.Uint64()}
	if status, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(status)); len(fields) > 1 {
			pages, _ := strconv.ParseUint(fields[1], 10, 64)
			m.resident = pages * uint64(os.Getpagesize())
		}
	}
	var engine int64
	m.err = s.conn.Conn.QueryRow(ctx, "SELECT value FROM system.metrics WHERE metric = 'MemoryTracking'").Scan(&engine)
	m.engine = uint64(max(engine, 0))
	return m
}
