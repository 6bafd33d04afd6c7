package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"photofinish/cmd/internal/badnet"
)

const killsHelp = `kills runs photofinish serve with its embedded ClickHouse, pushes events to it over
HTTP through a network that delays and cuts, and kills one or the other at random, again and
again. In the end it checks that

  - every event that was acknowledged is in the log, with the content that was sent, and
    nothing that was never sent; no offset is missing, and none was given up as lost;
  - verify finds no difference, and no award was ever corrected: nobody told anything late;
  - what was decided equals what the same events, imported in peace, decide.

  go run ./cmd/bench kills --cycles 60
  go run ./cmd/bench kills --cycles 1000 --seed 7
  go run ./cmd/bench kills --cycles 5 --keep /var/tmp/kills    # leaves the folder behind
  go run ./cmd/bench kills --cycles 60 --victims eio,enospc,serve
  mount -t tmpfs -o size=1500m none /mnt/small &&
    go run ./cmd/bench kills --cycles 60 --victims full,full,engine,serve --keep /mnt/small

The victims: serve, engine and both are killed; pause stops the engine for a while; full fills
up the file system and makes room again; eio and enospc have strace fail writes, syncs, renames
and openings of serve now and then, once in forty times to every time.

A cycle takes about two seconds. The same seed kills the same things after the same pauses.
`

func runKills(ctx context.Context, args []string) (err error) {
	f := flags("kills", killsHelp)
	cycles := f.Int("cycles", 60, "how often something is killed")
	seed := f.Uint64("seed", 1, "of what is killed when, and of the events")
	binary := f.String("binary", "", "the photofinish to run; empty: built from ./cmd/photofinish")
	victims := f.String("victims", usualVictims, "what is chosen among in each cycle")
	keep := f.String("keep", "", "folder to work in and to leave behind; empty: a temporary one, left behind only after a failure")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *cycles < 1 {
		return fmt.Errorf("--cycles %d: give at least 1", *cycles)
	}
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "photofinish-kills-*"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
			} else {
				fmt.Fprintln(os.Stderr, "what it left is in", dir)
			}
		}()
	}
	k, err := newKills(ctx, dir, *binary, *seed)
	if err != nil {
		return err
	}
	k.victims = strings.Split(*victims, ",")
	if err := usable(k.victims, dir); err != nil {
		return err
	}
	return k.run(ctx, *cycles)
}

// kills is one run: a folder, the program that serves it, and those who push to it.
type kills struct {
	dir      string
	binary   string
	rand     *rand.Rand
	listen   string        // of serve; the same after each start, so that clients find it again
	proxy    *badnet.Proxy // between the senders and serve
	admin    string
	senders  []*sender
	serve    *exec.Cmd
	ended    chan error // of serve, once it was waited for
	log      *os.File
	victims  []string       // what a cycle chooses among
	counts   map[string]int // what was killed how often
	injected int            // calls that were made to fail
}

// killsRules decide within one server alone, so that the order of its events decides and
// no clock has a say.
const killsRules = `version: 1
rules:
  - {id: first-500, kind: world_first, title: First to 500, when: {type: kill}, threshold: 500, places: 3, scope: server, hold: 10m}
  - {id: first-50, kind: world_first, title: First to 50, when: {type: kill}, threshold: 50, places: 3, scope: server, hold: 10m}
  - {id: hundred, kind: achievement, title: A hundred, when: {type: kill}, threshold: 100}
  - {id: drop, kind: sale, title: The drop, sku: sword, stock: 25, price: {amount: 0, currency: USD}, per_player: 3, scope: server}
`

func newKills(ctx context.Context, dir, binary string, seed uint64) (*kills, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k := &kills{dir: dir, binary: binary, rand: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int{}}
	if binary == "" {
		var err error
		if k.binary, err = build(ctx, dir); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(k.rules(), []byte(killsRules), 0o600); err != nil {
		return nil, err
	}
	var err error
	if k.log, err = os.Create(filepath.Join(dir, "serve.log")); err != nil { //nolint:gosec // likewise
		return nil, err
	}
	for _, addr := range []*string{&k.listen, &k.admin} {
		if *addr, err = freeAddr(ctx); err != nil {
			return nil, err
		}
	}
	if k.proxy, err = badnet.New(ctx, k.listen, badLine(rand.New(rand.NewPCG(seed, 2)))); err != nil {
		return nil, err
	}
	for i, name := range []string{"eu-1", "eu-2", "us-1", "ap-1"} {
		s := &sender{name: name, region: name[:2], rand: rand.New(rand.NewPCG(seed, 100+uint64(i)))}
		out, err := k.photofinish(ctx, "keys", "create", "--server", s.name, "--region", s.region, "--json")
		if err != nil {
			return nil, err
		}
		if s.key, err = keyOf(out); err != nil {
			return nil, err
		}
		k.senders = append(k.senders, s)
	}
	return k, nil
}

// badLine returns what happens to connections: one in five is slow, one in ten is cut.
func badLine(random *rand.Rand) func() badnet.Fault {
	return func() (f badnet.Fault) {
		if random.IntN(5) == 0 {
			f.Delay = time.Duration(random.IntN(100)) * time.Millisecond
		}
		switch random.IntN(20) {
		case 0:
			f.CutThere = 1 + random.Int64N(20_000)
		case 1:
			f.CutBack = 1 + random.Int64N(2_000)
		}
		return f
	}
}

func (k *kills) rules() string { return filepath.Join(k.dir, "rules.yaml") }
func (k *kills) data() string  { return filepath.Join(k.dir, "data") }

// photofinish runs one command on the data folder to its end.
func (k *kills) photofinish(ctx context.Context, args ...string) ([]byte, error) {
	return k.on(ctx, k.data(), args...)
}

// on runs one command on a data folder to its end and returns what it printed.
func (k *kills) on(ctx context.Context, data string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, k.binary, append(args, "--data", data)...) //nolint:gosec // the one who runs this names the program
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("photofinish %s: %w: %s", strings.Join(args, " "), err, problems.String())
	}
	return out, nil
}

// start starts serve in a group of its own.
func (k *kills) start(ctx context.Context) error {
	args := []string{
		"serve", "--data", k.data(), "--listen", k.listen, "--serve.admin_listen", k.admin, "--rules", k.rules(),
		"--settle.schedule", "@every 2s", "--settle.period", "10s", "--settle.delay", "1s", "--log-level", "info",
	}
	k.serve = exec.CommandContext(ctx, k.binary, args...) //nolint:gosec // the one who runs this names the program
	k.serve.Stdout, k.serve.Stderr = k.log, k.log
	k.serve.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := k.serve.Start(); err != nil {
		return fmt.Errorf("start serve: %w", err)
	}
	serve, ended := k.serve, make(chan error, 1)
	k.ended = ended
	go func() { ended <- serve.Wait() }()
	return nil
}

// run lets the senders push while it kills, and then looks at what is left.
func (k *kills) run(ctx context.Context, cycles int) error {
	defer func() {
		if k.serve != nil && k.serve.Process != nil {
			_ = k.serve.Process.Kill() // it has ended unless something failed
		}
	}()
	if err := k.start(ctx); err != nil {
		return err
	}
	pushing, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, len(k.senders))
	for _, s := range k.senders {
		go func() { done <- s.push(ctx, pushing, "http://"+k.proxy.Addr()+"/v1/events") }()
	}
	for cycle := 1; cycle <= cycles; cycle++ {
		if err := k.cycle(ctx, done); err != nil {
			return fmt.Errorf("cycle %d: %w", cycle, err)
		}
		if cycle%10 == 0 {
			fmt.Printf("%d of %d cycles: killed %v, %d events acknowledged\n", cycle, cycles, k.counts, k.acknowledged())
		}
	}
	stop()
	for range k.senders {
		if err := <-done; err != nil {
			return err
		}
	}
	if err := k.end(ctx); err != nil {
		return err
	}
	return k.check(ctx)
}

func (k *kills) acknowledged() (n int64) {
	for _, s := range k.senders {
		n += s.acknowledged.Load()
	}
	return n
}

// cycle waits a while, kills something, and starts serve again where it has ended.
func (k *kills) cycle(ctx context.Context, failed <-chan error) error {
	pause := time.Duration(200+k.rand.IntN(2_500)) * time.Millisecond
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-failed:
		return err
	case err := <-k.ended:
		return fmt.Errorf("serve ended by itself: %w; its words are in %s", err, k.log.Name())
	case <-time.After(pause):
	}
	victim := k.victims[k.rand.IntN(len(k.victims))]
	k.counts[victim]++
	engines := enginesOf(k.data())
	switch victim {
	case victimFull:
		return errors.Join(k.full(ctx), k.recovered(ctx))
	case victimEIO, victimENOSPC:
		return errors.Join(k.inject(ctx, victim), k.recovered(ctx))
	case victimPause:
		// Neither answers nor ends, as a machine does that has no memory left.
		signalAll(engines, syscall.SIGSTOP)
		time.Sleep(time.Duration(100+k.rand.IntN(1_500)) * time.Millisecond)
		signalAll(engines, syscall.SIGCONT)
		return nil
	case victimEngine:
		signalAll(engines, syscall.SIGKILL)
		return nil
	case victimBoth:
		signalAll(engines, syscall.SIGKILL)
	}
	if err := k.serve.Process.Kill(); err != nil {
		return err
	}
	<-k.ended //nolint:errcheck // it was killed
	return k.start(ctx)
}

// end asks serve to end and waits for it. One that was started a moment ago does not hear
// SIGTERM before it listens.
func (k *kills) end(ctx context.Context) error {
	if err := k.listens(ctx); err != nil {
		return err
	}
	if err := k.serve.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-k.ended:
		if err != nil {
			return fmt.Errorf("serve did not end well after SIGTERM: %w; its words are in %s", err, k.log.Name())
		}
		return nil
	case <-time.After(2 * time.Minute):
		return errors.New("serve did not end within two minutes of SIGTERM")
	}
}

// listens waits until serve takes connections.
func (k *kills) listens(ctx context.Context) error {
	deadline := time.After(time.Minute)
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", k.listen)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-k.ended:
			return fmt.Errorf("serve ended by itself: %w; its words are in %s", err, k.log.Name())
		case <-deadline:
			return fmt.Errorf("serve does not listen a minute after its start: %w; its words are in %s", err, k.log.Name())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// enginesOf returns the processes that are the embedded ClickHouse of a data folder.
func enginesOf(data string) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && strings.Contains(string(line), "clickhouse-child\x00"+data+"\x00") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func signalAll(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s) // gone already is as good
	}
}
