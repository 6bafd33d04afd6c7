package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The victims that kills chooses among: of one that is named twice it chooses twice as often.
const (
	victimServe  = "serve"  // killed
	victimEngine = "engine" // killed
	victimBoth   = "both"   // killed
	victimPause  = "pause"  // the engine neither answers nor ends for a while
	victimFull   = "full"   // the file system fills up and has room again
	victimEIO    = "eio"    // writes, syncs and renames of serve fail now and then
	victimENOSPC = "enospc" // likewise
)

const usualVictims = "serve,serve,engine,both,pause"

// mostRoom bounds the file system that is filled up.
const mostRoom = 4 << 30

// usable says why a victim cannot be had here.
func usable(victims []string, dir string) error {
	for _, victim := range victims {
		switch victim {
		case victimServe, victimEngine, victimBoth, victimPause:
		case victimFull:
			var fs syscall.Statfs_t
			if err := syscall.Statfs(dir, &fs); err != nil {
				return err
			}
			if size := fs.Blocks * uint64(fs.Bsize); size > mostRoom {
				return fmt.Errorf("--victims full: the file system of %s has %d MB; give --keep a folder on one of at most %d MB, such as a tmpfs", dir, size>>20, mostRoom>>20)
			}
		case victimEIO, victimENOSPC:
			if _, err := exec.LookPath("strace"); err != nil {
				return fmt.Errorf("--victims %s: %w", victim, err)
			}
		default:
			return fmt.Errorf("--victims: there is no %q", victim)
		}
	}
	return nil
}

// full fills the file system up for a while.
func (k *kills) full(ctx context.Context) (err error) {
	path := filepath.Join(k.dir, "ballast")
	f, err := os.Create(path) //nolint:gosec // the one who runs this names the folder
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	block := bytes.Repeat([]byte{1}, 1<<20)
	for until := time.Now().Add(time.Duration(500+k.rand.IntN(4_000)) * time.Millisecond); time.Now().Before(until) && ctx.Err() == nil; {
		n := min(len(block), 4096)
		if _, err := f.Write(block); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill the disk: %w", err)
		}
		for _, err := f.Write(block[:n]); err == nil; { // to the last block
			_, err = f.Write(block[:n])
		}
		time.Sleep(5 * time.Millisecond) // what was freed meanwhile is taken, too
	}
	return nil
}

// inject makes calls of serve on files fail for a while: one of few or of many.
func (k *kills) inject(ctx context.Context, errno string) error {
	calls := [][]string{
		{"pwrite64"},
		{"fsync", "fdatasync"},
		{"renameat", "renameat2", "rename"},
		{"fallocate", "ftruncate"},
		{"openat"},
		{"pwrite64", "fsync", "fdatasync", "renameat", "renameat2", "rename", "fallocate", "ftruncate"},
	}
	some := strings.Join(calls[k.rand.IntN(len(calls))], ",")
	often := fmt.Sprintf("%d+%d", 1+k.rand.IntN(5), []int{1, 2, 7, 40}[k.rand.IntN(4)])
	var said bytes.Buffer
	trace := exec.CommandContext(ctx, "strace", "-f", "-qq", "-o", filepath.Join(k.dir, "strace.log"), "-p", fmt.Sprint(k.serve.Process.Pid), //nolint:gosec // numbers and names from above
		"-e", "trace="+some, "-e", "inject="+some+":error="+strings.ToUpper(errno)+":when="+often)
	trace.Stdout, trace.Stderr = io.Discard, &said
	if err := trace.Start(); err != nil {
		return fmt.Errorf("attach strace: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- trace.Wait() }()
	select {
	case <-ended: //nolint:errcheck // serve has ended, or strace says why it cannot trace it
		if said.Len() > 0 && strings.Contains(said.String(), "attach") {
			return fmt.Errorf("strace: %s", said.String())
		}
		return nil
	case <-time.After(time.Duration(300+k.rand.IntN(2_500)) * time.Millisecond):
	}
	if err := trace.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("detach strace: %w", err)
	}
	<-ended //nolint:errcheck // it was interrupted
	if out, err := os.ReadFile(filepath.Join(k.dir, "strace.log")); err == nil {
		k.injected += strings.Count(string(out), "(INJECTED)")
	}
	return nil
}

// recovered waits until serve takes events again. A serve that ended with an error of the disk
// is started again, as whoever watches over it does; how often is counted.
func (k *kills) recovered(ctx context.Context) error {
	before := k.acknowledged()
	deadline := time.After(90 * time.Second)
	for k.acknowledged() == before {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-k.ended: //nolint:errcheck // it says why in its log
			k.counts["ended by itself"]++
			time.Sleep(time.Second)
			if err := k.start(ctx); err != nil {
				return err
			}
		case <-deadline:
			return errors.New("serve took no event for 90 s after its disk was well again")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
