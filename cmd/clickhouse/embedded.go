package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// startLimit bounds the wait for an engine to answer: a start takes a fraction
	// of a second, more with very many parts.
	startLimit = 60 * time.Second
	// waitLimit bounds the wait for others: one that starts, an engine that stops.
	waitLimit = startLimit + stopLimit
	// startTries bounds the starts of one attempt, each on another port.
	startTries = 5
	// answerPoll is how often a starting engine is asked for an answer.
	answerPoll = 5 * time.Millisecond
)

// An embedded is one user's hold on the engine of a data folder. Its methods are
// safe for concurrent use, except leave, which comes last.
type embedded struct {
	folder  folder
	log     *slog.Logger
	extra   string // more configuration
	library func(ctx context.Context, again bool) (string, error)
	port    func(ctx context.Context) (int, error) // a free one
	users   *fileLock                              // shared, from join to leave

	mu       sync.Mutex
	info     engineInfo
	reviving *revival // nil unless one is under way
	left     bool     // leave was called
	wg       sync.WaitGroup
}

// A revival is one attempt to have a running engine again.
type revival struct {
	done chan struct{}
	err  error // valid after done is closed
}

// join makes sure that the engine of the folder runs and will not stop before
// leave is called. After an error nothing is held.
func (e *embedded) join(ctx context.Context) (err error) {
	if err := e.folder.prepare(); err != nil {
		return err
	}
	// A first fetch takes long, so it comes before anything is locked.
	if runs, err := e.folder.engineRuns(); err != nil {
		return err
	} else if !runs {
		if _, err := e.library(ctx, false); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit,
		fmt.Errorf("another command is still starting or stopping ClickHouse in %s after %v", e.folder.root, waitLimit))
	defer cancel()
	turn, err := lockFile(ctx, e.folder.path("start.lock"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer turn.release()
	if e.users, err = openLock(e.folder.path("users.lock")); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			e.users.release()
		}
	}()
	// Alone means that no other user knows a password that must be kept.
	alone, err := e.users.try(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	if err := e.users.wait(ctx, syscall.LOCK_SH); err != nil {
		return err
	}
	password := newPassword()
	if !alone {
		if info, err := e.folder.info(); err == nil && info.Password != "" {
			password = info.Password
		}
	}
	return e.ensure(ctx, password)
}

// ensure has a running engine, starting one with password if none runs. The
// caller holds start.lock, and users.lock shared.
func (e *embedded) ensure(ctx context.Context, password string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit,
		fmt.Errorf("the ClickHouse engine in %s does not answer after %v: %s", e.folder.root, startLimit, e.folder.path("engine.log")))
	defer cancel()
	runs, err := e.folder.engineRuns()
	if err != nil {
		return err
	}
	if runs {
		info, err := e.folder.info()
		if err != nil {
			return err
		}
		if err = e.await(ctx, info, nil); err == nil {
			e.setInfo(info)
			return nil
		}
		if !errors.Is(err, errEngineGone) {
			return err
		}
	}
	return e.start(ctx, password)
}

// start runs a new engine and waits until it answers.
func (e *embedded) start(ctx context.Context, password string) error {
	library, err := e.library(ctx, false)
	if err != nil {
		return err
	}
	doubted := false
	for try := 1; ; try++ {
		info := engineInfo{User: engineUser, Password: password}
		err := e.startOn(ctx, library, &info)
		if err == nil {
			e.setInfo(info)
			e.log.DebugContext(ctx, "started the embedded ClickHouse", "addr", info.Addr, "pid", info.PID)
			return nil
		}
		if ctx.Err() != nil || try == startTries {
			return err
		}
		// A damaged library does not load, or crashes wherever the damage lies. To read
		// it whole takes seconds, so that is done once, and only after such an end.
		if errors.Is(err, errEngineGone) && !doubted {
			doubted = true
			again, lerr := e.library(ctx, true)
			if lerr != nil {
				return fmt.Errorf("%w; %w", err, lerr)
			}
			library = again
		}
	}
}

// startOn starts the engine once, on a port that was free a moment ago. On error
// no engine is left.
func (e *embedded) startOn(ctx context.Context, library string, info *engineInfo) error {
	port, err := e.port(ctx)
	if err != nil {
		return err
	}
	info.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	if err := e.folder.writeConfig(port, info.Password, e.extra); err != nil {
		return err
	}
	// The address is written before the engine runs, so that whoever finds it
	// running knows where, even if this process ends here.
	if err := e.folder.setInfo(*info); err != nil {
		return err
	}
	if err := e.folder.begin(); err != nil {
		return err
	}
	child, err := e.spawn(library)
	if err != nil {
		return err
	}
	info.PID = child.cmd.Process.Pid
	err = e.folder.setInfo(*info)
	if err == nil {
		err = e.await(ctx, *info, child.exited)
	}
	if err != nil {
		_ = child.cmd.Process.Kill()
		<-child.exited
		if child.err != nil {
			err = fmt.Errorf("%w: %w", err, child.err)
		}
		return fmt.Errorf("start the ClickHouse engine: %w (%s)", err, e.folder.output())
	}
	return nil
}

// A process is a child and its end.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // valid after exited is closed
}

// spawn executes this binary as the engine, in a session of its own so that no
// signal from the terminal reaches it.
func (e *embedded) spawn(library string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the ClickHouse engine: %w", err)
	}
	// Where there is such a link it leads to this binary even if the file was
	// replaced or deleted since.
	const link = "/proc/self/exe"
	binary := self
	if _, err := os.Stat(link); err == nil {
		binary = link
	}
	out, err := os.OpenFile(e.folder.path("engine.out"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the ClickHouse engine: %w", err)
	}
	defer func() { _ = out.Close() }()
	// Not CommandContext: the engine outlives every request and often this command.
	cmd := exec.Command(binary, childCommand, e.folder.root, library) //nolint:noctx,gosec // see above; the binary is this program
	cmd.Args[0] = self
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = e.folder.path("")
	cmd.Env = childEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the ClickHouse engine: %w", err)
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	// The goroutine ends with the child, which may be after this user has left.
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// childEnv is the environment of the engine: nothing that could configure it, nor
// any secret that the program was given.
func childEnv() []string {
	env := []string{"TERM=dumb", "LANG=C.UTF-8", "HOME=/nonexistent"}
	for _, name := range []string{"PATH", "TMPDIR", "LD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

var (
	// errEngineGone says that the engine ended while it was waited for.
	errEngineGone = errors.New("the ClickHouse engine ended")
	// errNotListening says that the engine failed with an error of its own, which its
	// output has.
	errNotListening = errors.New("it does not listen")
)

// await waits until the engine answers to info's user and password. It returns
// errEngineGone, wrapped, as soon as there is no such engine any more, and an
// error if a child that was just started reports one. Exited is nil for an engine
// that is not our child.
func (e *embedded) await(ctx context.Context, info engineInfo, exited <-chan struct{}) error {
	t := time.NewTicker(answerPoll)
	defer t.Stop()
	for {
		err := ping(ctx, info)
		if err == nil {
			return nil
		}
		if exited != nil && e.folder.failed() {
			return errNotListening
		}
		if exited == nil {
			if runs, rerr := e.folder.engineRuns(); rerr == nil && !runs {
				return fmt.Errorf("%w: %w", errEngineGone, err)
			}
		}
		select {
		case <-exited:
			if e.folder.failed() { // it said so between that look and its end
				return errNotListening
			}
			return errEngineGone
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-t.C:
		}
	}
}

// freePort returns a loopback port on which nobody listens at the moment.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener has a TCP address
	return port, l.Close()
}

func (e *embedded) setInfo(info engineInfo) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.info = info
}

func (e *embedded) current() engineInfo {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.info
}
