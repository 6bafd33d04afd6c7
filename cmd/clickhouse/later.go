package clickhouse

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ErrNotOpen says that ClickHouse has not been reached yet since the program started.
// What was asked for was not sent; asking again later may help.
var ErrNotOpen = errors.New("ClickHouse is not reached yet")

// The waits between two attempts to reach ClickHouse: doubled from the first to the last.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// A Later is a way to ClickHouse for a program that starts, and works, before ClickHouse
// can be reached: a node takes events in while its server is down. Its methods are safe
// for concurrent use.
type Later struct {
	cfg     Config
	log     *slog.Logger
	prepare func(context.Context, *Server) error
	opened  chan struct{}
	server  atomic.Pointer[Server]
	problem atomic.Pointer[error] // of the last attempt
}

// NewLater returns a way to ClickHouse that Run opens. Prepare is called before anybody
// else may use the server; it makes the tables. NewLater does no I/O; it refuses what
// [Open] would refuse of cfg alone.
func NewLater(cfg Config, prepare func(context.Context, *Server) error, log *slog.Logger) (*Later, error) {
	if _, err := cfg.options(); err != nil {
		return nil, err
	}
	return &Later{cfg: cfg, log: log, prepare: prepare, opened: make(chan struct{})}, nil
}

// Run opens ClickHouse, again and again until it is reached, and closes it once ctx is
// done. It ends before that only with an error that no waiting mends: a [*FormatError], a
// [*SettingError] or [ErrNoEngine].
func (l *Later) Run(ctx context.Context) error {
	wait := firstRetry
	for {
		server, err := l.open(ctx)
		if err == nil {
			l.server.Store(server)
			close(l.opened)
			l.log.InfoContext(ctx, "ClickHouse is there", "version", server.Version())
			<-ctx.Done()
			return server.Close()
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop: what failed does not matter any more
		}
		var format *FormatError
		var setting *SettingError
		if errors.As(err, &format) || errors.As(err, &setting) || errors.Is(err, ErrNoEngine) {
			return err
		}
		l.problem.Store(&err)
		l.log.WarnContext(ctx, "ClickHouse is not reached; events are kept until it is", "err", err, "hint", Hint(err), "again_in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
}

func (l *Later) open(ctx context.Context) (*Server, error) {
	server, err := Open(ctx, l.cfg, l.log)
	if err != nil {
		return nil, err
	}
	if err := l.prepare(ctx, server); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return server, nil
}

// Opened is closed once the server is there.
func (l *Later) Opened() <-chan struct{} { return l.opened }

// Server returns the server; nil before it is opened.
func (l *Later) Server() *Server { return l.server.Load() }

// Problem returns why the last attempt to open the server failed; nil where there was
// none, or it is open.
func (l *Later) Problem() error {
	if p := l.problem.Load(); p != nil && l.Server() == nil {
		return *p
	}
	return nil
}

// Conn returns a connection that is that of the server once it is opened. Before that
// everything asked of it fails at once with ErrNotOpen.
func (l *Later) Conn() driver.Conn { return lateConn{l} }
