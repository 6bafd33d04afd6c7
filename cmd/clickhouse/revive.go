package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// dial connects to the engine, wherever it is now. An engine that ended without
// being asked to is started again, by whichever user dials first; the others find
// it. This is what makes a killed engine one failed query instead of a failed
// command.
func (e *embedded) dial(ctx context.Context, _ string) (net.Conn, error) {
	var d net.Dialer
	runs, err := e.folder.engineRuns()
	if err != nil {
		return nil, err
	}
	if runs {
		if conn, err := d.DialContext(ctx, "tcp", e.current().Addr); err == nil || ctx.Err() != nil {
			return conn, err
		}
	}
	if err := e.revive(ctx); err != nil {
		return nil, err
	}
	return d.DialContext(ctx, "tcp", e.current().Addr)
}

// revive waits until the engine runs again or ctx is done. The attempt itself is
// shared by all who wait, and goes on without them: a dial has less time than the
// recovery of a large data folder may need.
func (e *embedded) revive(ctx context.Context) error {
	e.mu.Lock()
	if e.left {
		e.mu.Unlock()
		return net.ErrClosed
	}
	r := e.reviving
	if r == nil {
		r = &revival{done: make(chan struct{})}
		e.reviving = r
		e.wg.Go(func() {
			r.err = e.reviveNow(context.WithoutCancel(ctx))
			e.mu.Lock()
			e.reviving = nil
			e.mu.Unlock()
			close(r.done)
		})
	}
	e.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *embedded) reviveNow(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit,
		fmt.Errorf("no ClickHouse engine again in %s after %v", e.folder.root, waitLimit))
	defer cancel()
	turn, err := lockFile(ctx, e.folder.path("start.lock"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer turn.release()
	before := e.current()
	if err := e.ensure(ctx, before.Password); err != nil {
		return err
	}
	after := e.current()
	e.log.WarnContext(ctx, "the ClickHouse engine had ended and runs again",
		"old_pid", before.PID, "pid", after.PID, "addr", after.Addr)
	return nil
}

// leave gives up the hold on the engine. The last user waits until the engine has
// stopped; any other leaves it running and says so.
func (e *embedded) leave(ctx context.Context) error {
	e.mu.Lock()
	e.left = true
	e.mu.Unlock()
	e.wg.Wait()
	defer e.users.release()
	ctx, cancel := context.WithTimeoutCause(ctx, stopLimit+5*time.Second,
		errors.New("the ClickHouse engine does not stop"))
	defer cancel()
	// With the turn nobody joins meanwhile, so what is seen here stays true.
	turn, err := lockFile(ctx, e.folder.path("start.lock"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer turn.release()
	last, err := e.users.try(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	if !last {
		// Others hold it, or already the engine, which then stops.
		others, err := e.users.try(syscall.LOCK_SH)
		if err != nil {
			return err
		}
		if others {
			e.log.DebugContext(ctx, "left the embedded ClickHouse to the other users of the folder", "dir", e.folder.root)
			return nil
		}
	}
	e.users.release()
	gone, err := lockFile(ctx, e.folder.path("engine.lock"), syscall.LOCK_SH)
	if err != nil {
		return err
	}
	gone.release()
	return nil
}
