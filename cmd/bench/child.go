package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// build makes a photofinish in dir and returns its path.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "photofinish")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "photofinish/cmd/photofinish") //nolint:gosec // the one who runs this names the folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build photofinish: %w: %s", err, out)
	}
	return binary, nil
}

// freeAddr returns an address that is free and stays so while serve is down: its port is
// none of those that connections are given.
func freeAddr(ctx context.Context) (string, error) {
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no port between 10000 and 30000 is free")
}

// child is a photofinish in a process of its own, of which the kernel says what it uses.
type child struct {
	binary, data  string
	listen, admin string

	cmd   *exec.Cmd
	ended chan error
	log   *os.File // what it says
}

// newChild returns one that works in the folder data. It starts nothing.
func newChild(ctx context.Context, binary, data string) (*child, error) {
	c := &child{binary: binary, data: data}
	for _, addr := range []*string{&c.listen, &c.admin} {
		var err error
		if *addr, err = freeAddr(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// start starts a role, such as ingest, and waits until it is ready to take events in.
func (c *child) start(ctx context.Context, role string) (err error) {
	if c.log, err = os.OpenFile(c.data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	c.cmd = exec.CommandContext(ctx, c.binary, role, "--data", c.data, "--listen", c.listen, "--serve.admin_listen", c.admin, "--log-level", "info") //nolint:gosec // likewise
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	if err := c.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start photofinish %s: %w", role, err), c.log.Close())
	}
	ended, cmd := make(chan error, 1), c.cmd
	c.ended = ended
	go func() { ended <- cmd.Wait() }()
	return c.until(ctx, time.Minute, "it does not get ready", func() (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.admin+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		return answer.StatusCode == http.StatusOK, answer.Body.Close()
	})
}

// until asks again and again whether something is so, until it is, asking fails, the child
// ends or the limit is over.
func (c *child) until(ctx context.Context, limit time.Duration, problem string, so func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		if ok, err := so(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-c.ended:
			c.ended <- err
			return fmt.Errorf("photofinish ended by itself: %w; its words are in %s", err, c.log.Name())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("photofinish: %s within %v; its words are in %s", problem, limit, c.log.Name())
		}
	}
}

// stop ends it in order. It may be called again, and if it was never started.
func (c *child) stop() error {
	if c.cmd == nil {
		return nil
	}
	defer func() { c.cmd = nil }()
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is waited for all the same
	select {
	case err := <-c.ended:
		return errors.Join(err, c.log.Close())
	case <-time.After(2 * time.Minute):
		return errors.Join(errors.New("photofinish did not end within two minutes of SIGTERM"), c.cmd.Process.Kill(), c.log.Close())
	}
}

// cpu returns the CPU that it and the ClickHouse of its data folder have used.
func (c *child) cpu() (time.Duration, error) {
	own, err := cpuOf(c.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	engine, err := c.engineCPU()
	return own + engine, err
}

// engineCPU returns the CPU that the ClickHouse of its data folder has used.
func (c *child) engineCPU() (time.Duration, error) {
	engines := enginesOf(c.data)
	if len(engines) != 1 {
		return 0, fmt.Errorf("%d processes are the ClickHouse of %s, want 1", len(engines), c.data)
	}
	return cpuOf(engines[0])
}

// peak returns the most memory that it had at once, in bytes.
func (c *child) peak() (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nVmHWM:")
	number, _, found := strings.Cut(rest, " kB")
	kilobytes, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
	if err != nil || !found {
		return 0, fmt.Errorf("the system does not say how much memory photofinish had: %w", err)
	}
	return kilobytes << 10, nil
}

// cpuOf returns the CPU that a process has used, to a hundredth of a second.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const user, system = 11, 12 // of what follows the name
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, field := range []int{user, system} {
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // on every Linux
	return time.Duration(ticks) * tick, nil
}
