package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"photofinish/ingest/spool"
)

// maxSpool is how long the spool may take beside the bare loop.
const maxSpool = 1.25

// frameBytes is what the bare loop puts before each payload.
const frameBytes = 16

// payloadBytes is the size of a kill as a node spools it.
const payloadBytes = 112

// measureSpool is one writer of batches of events.
func measureSpool(_ context.Context, in *intake) error {
	in.section(fmt.Sprintf("spool  %d batches of %d events, %d bytes each, synced one by one, beside a bare loop", in.appends, appendEvents, payloadBytes))
	in.note("The loop writes the same payloads, each with %d bytes before it, to a file that has its size already, and syncs its data.", frameBytes)
	payloads := make([][]byte, appendEvents)
	for i := range payloads {
		payloads[i] = bytes.Repeat([]byte{byte(i)}, payloadBytes)
	}
	turn := 0
	took, err := inTurns(in.turns, func() (usage, error) {
		turn++
		return appendAll(filepath.Join(in.dir, fmt.Sprint("spool-", turn)), payloads, in.appends)
	}, func() (usage, error) {
		return writeAll(filepath.Join(in.dir, "bare"), in.appends, appendEvents*(payloadBytes+frameBytes))
	})
	if err != nil {
		return err
	}
	n := time.Duration(in.appends)
	in.line("a batch, wall", fmt.Sprint(took.ours.wall/n), fmt.Sprint(took.floor.wall/n), took.wall, maxSpool)
	in.line("a batch, CPU", fmt.Sprint(took.ours.cpu/n), fmt.Sprint(took.floor.cpu/n), took.cpu, 0)
	return nil
}

// openSpool opens a spool in an empty folder.
func openSpool(dir string) (*spool.Spool, error) { return spool.Open(dir, spool.Options{}) }

// appendAll appends the payloads so many times to a new spool, sees them back, and
// returns what the appending took.
func appendAll(dir string, payloads [][]byte, times int) (usage, error) {
	s, err := openSpool(dir)
	if err != nil {
		return usage{}, err
	}
	took, err := own(func() error {
		for range times {
			if _, err := s.Append(payloads); err != nil {
				return err
			}
		}
		return nil
	})
	var read uint64
	if err == nil {
		err = s.Read(1, func(offset uint64, payload []byte) error {
			if read++; offset != read || !bytes.Equal(payload, payloads[(read-1)%uint64(len(payloads))]) {
				return void("offset %d holds something else", offset)
			}
			return nil
		})
	}
	if want := uint64(times * len(payloads)); err == nil && read != want {
		err = void("the spool holds %d of %d payloads", read, want)
	}
	return took, errors.Join(err, s.Close(), os.RemoveAll(dir))
}

// writeAll writes so many blocks to a file that has its size already, syncs the data of
// each, and returns what that took.
func writeAll(path string, times, size int) (took usage, err error) {
	f, err := os.Create(path) //nolint:gosec // in a folder of our own
	if err != nil {
		return took, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	block := bytes.Repeat([]byte{7}, size)
	for range times {
		if _, err := f.Write(make([]byte, size)); err != nil {
			return took, err
		}
	}
	if err := f.Sync(); err != nil {
		return took, err
	}
	return own(func() error {
		for i := range times {
			if _, err := f.WriteAt(block, int64(i*size)); err != nil {
				return err
			}
			if err := syncData(f); err != nil {
				return err
			}
		}
		return nil
	})
}
