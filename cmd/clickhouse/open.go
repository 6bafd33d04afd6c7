package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Config says where ClickHouse is. Either Addr or Dir must be set.
type Config struct {
	// Addr is the host:port of a server's native protocol, or several of one
	// cluster separated by commas, tried in order. Port 9000 is the default. Empty
	// means the embedded engine in Dir.
	Addr string
	// User and Password are those of the server at Addr; the embedded engine has
	// its own. An empty User is "default".
	User, Password string
	// Secure encrypts the connection to Addr by TLS and checks its certificate.
	Secure bool
	// Database is the database of every table: a letter, then letters, digits and
	// underscores. It is created, with ENGINE = Atomic, if it does not exist. Empty
	// is "photofinish".
	Database string
	// Dir is the data folder of the embedded engine. It is created if need be.
	Dir string
	// Library is the path of a libchdb.so to use instead of fetching one.
	Library string
	// Progress gets a line before the engine is fetched, which takes a while and
	// happens once. Nil is silent.
	Progress io.Writer
	// MaxConns bounds the connections; a query beyond them waits. Zero is 16.
	MaxConns int
	// ExtraXML is added to the embedded engine's configuration, as elements of its
	// root, if this command is the one that starts it. Tests of clusters need it.
	ExtraXML string
}

// Limits of a connection.
const (
	defaultDatabase = "photofinish"
	defaultMaxConns = 16
	dialLimit       = 10 * time.Second // also the wait for a free connection
	readLimit       = 10 * time.Minute // for one word of the server; a busy one sends progress far more often, a merge none
	queryLimit      = 24 * time.Hour   // of the driver, for all that a query sends
	connAge         = 10 * time.Minute // then a connection is made anew
)

// A Server is a way to ClickHouse. Its methods are safe for concurrent use.
type Server struct {
	conn     driver.Conn
	version  string
	embedded *embedded // nil for a server elsewhere
	close    func() error
}

// Open connects to ClickHouse, first fetching and starting the embedded engine
// where it has to, creates the database if it does not exist and checks what the
// project relies on. Ctx bounds that work only. The caller closes the Server.
//
// It returns a [*FormatError] for a data folder of a newer format, a
// [*SettingError] for a server whose settings would lose rows or change outcomes,
// and [ErrNoEngine] where no engine can be had. [Hint] has advice for most others.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Server, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	s := &Server{}
	if cfg.Addr == "" {
		if s.embedded, err = openEmbedded(ctx, cfg, options, log); err != nil {
			return nil, err
		}
	}
	s.close = sync.OnceValue(func() error {
		var errs []error
		if s.conn != nil {
			errs = append(errs, s.conn.Close())
		}
		if s.embedded != nil {
			// The command may be ending because its context is done; this must happen yet.
			errs = append(errs, s.embedded.leave(context.WithoutCancel(ctx)))
		}
		return errors.Join(errs...)
	})
	if err := s.connect(ctx, options); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// Conn returns the pool of connections. It carries the settings of every query
// and is closed by [Server.Close].
func (s *Server) Conn() driver.Conn { return s.conn }

// Close closes the connections. The last user of an embedded engine in any
// process waits, for some seconds at most, until it has stopped.
// Calls after the first return what the first did.
func (s *Server) Close() error { return s.close() }

// Version returns the server's version, such as 26.7.2.
func (s *Server) Version() string { return s.version }

var databaseName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// options checks the configuration and returns that of the pool.
func (cfg Config) options() (*clickhouse.Options, error) {
	if cfg.Database == "" {
		cfg.Database = defaultDatabase
	}
	if !databaseName.MatchString(cfg.Database) {
		return nil, fmt.Errorf("clickhouse database %q: want a letter, then letters, digits and underscores", cfg.Database)
	}
	if cfg.Addr == "" && cfg.Dir == "" {
		return nil, errors.New("clickhouse: neither an address nor a data folder is given")
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	if cfg.MaxConns < 0 {
		return nil, fmt.Errorf("clickhouse connections %d: want a positive number", cfg.MaxConns)
	}
	options := &clickhouse.Options{
		Auth:            clickhouse.Auth{Database: cfg.Database, Username: cfg.User, Password: cfg.Password},
		Settings:        sentSettings(),
		DialTimeout:     dialLimit,
		ReadTimeout:     queryLimit,
		MaxOpenConns:    cfg.MaxConns,
		MaxIdleConns:    cfg.MaxConns,
		ConnMaxLifetime: connAge,
		Compression:     &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{
			{Name: "photofinish", Version: "1"},
		}},
	}
	var secure *tls.Config
	if cfg.Secure {
		secure = tlsConfig()
	}
	options.DialContext = patiently(dialer(secure))
	for addr := range strings.SplitSeq(cfg.Addr, ",") {
		addr = strings.TrimSpace(addr)
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			addr = net.JoinHostPort(strings.Trim(addr, "[]"), "9000")
		}
		options.Addr = append(options.Addr, addr)
	}
	return options, nil
}

// openEmbedded joins or starts the engine in cfg.Dir and points options to it.
func openEmbedded(ctx context.Context, cfg Config, options *clickhouse.Options, log *slog.Logger) (*embedded, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	e := &embedded{
		folder: folder{root: dir},
		log:    log,
		extra:  cfg.ExtraXML,
		port:   freePort,
		library: func(ctx context.Context, again bool) (string, error) {
			return findLibrary(ctx, cfg, dir, again)
		},
	}
	if err := e.join(ctx); err != nil {
		return nil, err
	}
	info := e.current()
	options.Addr = []string{info.Addr}
	options.Auth.Username, options.Auth.Password = info.User, info.Password
	options.DialContext = patiently(e.dial)
	options.Compression = nil // a loopback is faster than a compressor
	return e, nil
}

// connect opens the pool, creates the database and checks the server.
func (s *Server) connect(ctx context.Context, options *clickhouse.Options) error {
	version, err := createDatabase(ctx, *options)
	if err != nil {
		return err
	}
	s.version = version
	if s.conn, err = clickhouse.Open(options); err != nil {
		return fmt.Errorf("connect to ClickHouse: %w", err)
	}
	return checkSettings(ctx, s.conn)
}

// createDatabase creates the database of options unless it exists, over a
// connection of its own, and returns the server's version. The database is looked
// for first, so that a user who may not create one can use one.
func createDatabase(ctx context.Context, options clickhouse.Options) (string, error) {
	name := options.Auth.Database
	options.Auth.Database = ""
	options.Settings = nil // an old server may refuse them before its version was seen
	options.MaxOpenConns, options.MaxIdleConns = 1, 1
	conn, err := clickhouse.Open(&options)
	if err != nil {
		return "", fmt.Errorf("connect to ClickHouse: %w", err)
	}
	defer func() { _ = conn.Close() }()
	hello, err := conn.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("connect to ClickHouse at %s: %w", strings.Join(options.Addr, ","), err)
	}
	if err := checkVersion(hello.Version.Major, hello.Version.Minor); err != nil {
		return "", err
	}
	var engines []string
	const find = "SELECT groupArray(engine) FROM system.databases WHERE name = {name:String}"
	if err := conn.QueryRow(ctx, find, clickhouse.Named("name", name)).Scan(&engines); err != nil {
		return "", fmt.Errorf("look for the database %s: %w", name, err)
	}
	if len(engines) == 0 {
		// The name is checked by options and needs no quotes.
		if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+name+" ENGINE = Atomic"); err != nil {
			return "", fmt.Errorf("create the database %s: %w", name, err)
		}
	}
	for _, engine := range engines {
		if engine != "Atomic" && engine != "Replicated" && engine != "Shared" {
			return "", fmt.Errorf("the database %s has the engine %s, want Atomic (or Replicated or Shared)", name, engine)
		}
	}
	return hello.Version.String(), nil
}

// ping asks the engine at info for a sign of life, once.
func ping(ctx context.Context, info engineInfo) error {
	var d net.Dialer
	// A refused connection is the usual answer while the engine starts, and this is
	// the cheapest way to get it.
	raw, err := d.DialContext(ctx, "tcp", info.Addr)
	if err != nil {
		return err
	}
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{info.Addr},
		Auth:        clickhouse.Auth{Username: info.User, Password: info.Password},
		DialContext: func(context.Context, string) (net.Conn, error) { return raw, nil },
		DialTimeout: 2 * time.Second,
		ReadTimeout: 2 * time.Second,
	})
	if err != nil {
		return errors.Join(err, raw.Close())
	}
	return errors.Join(conn.Ping(ctx), conn.Close())
}
