package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	store "photofinish/cmd/clickhouse"
	"photofinish/cmd/photofinish/serve"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	var unread error // why the configuration could not be read
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check that this machine can run serve: what is wrong and how to mend it",
		Long: `Checks the configuration and the rules, the ports, the disk, ClickHouse and its version, the
clock and the tables, by the configuration that serve would load: of the file, the environment
and the same options. Where that cannot be read, the rest is not looked at. It makes the database where there is
none, as every command does, and for a moment one to compare the tables with; it changes
nothing else. The exit code is 0 if all is well, else 1.`,
		Example: `  photofinish doctor --config /etc/photofinish/photofinish.yaml
  photofinish doctor --json`,
		Args: exactArgs(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			unread = a.configure(cmd)
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := misconfigured(unread)
			if unread == nil {
				checks = a.examine(cmd.Context())
			}
			if err := a.printChecks(checks, asJSON); err != nil {
				return err
			}
			if slices.ContainsFunc(checks, func(c check) bool { return !c.OK }) {
				return errFailed
			}
			return nil
		},
	}
	f := cmd.Flags()
	a.options.listenFlags(f)
	a.options.ingestFlags(f)
	a.options.silenceFlag(f)
	a.options.settleFlags(f)
	durationVar(f, &a.options.period, "settle.period", time.Hour, "the time that one settlement closes, from 10s on")
	f.BoolVar(&asJSON, "json", false, "print as JSON")
	alsoBy(f, map[string]string{"serve.listen": "listen", "settle.rules": "rules", "log.level": "log-level", "log.format": "log-format"})
	return cmd
}

// check is what was looked at, and what is wrong with it.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"` // what to do; none where all is well
}

func good(name, format string, args ...any) check {
	return check{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)}
}

func bad(name, mend, format string, args ...any) check {
	return check{Name: name, Detail: fmt.Sprintf(format, args...), Mend: mend}
}

func (a *app) printChecks(checks []check, asJSON bool) error {
	if asJSON {
		return a.printJSON(struct {
			OK     bool    `json:"ok"`
			Checks []check `json:"checks"`
		}{!slices.ContainsFunc(checks, func(c check) bool { return !c.OK }), checks})
	}
	for _, c := range checks {
		word := "ok   "
		if !c.OK {
			word = "WRONG"
		}
		a.printf("%s  %-13s  %s\n", word, c.Name, c.Detail)
		if c.Mend != "" {
			a.printf("%22s%s\n", "", c.Mend)
		}
	}
	return nil
}

// misconfigured are the checks where the configuration cannot be read: what it leaves at its
// default would be another port, folder or server than those that serve is to have.
func misconfigured(unread error) []check {
	checks := []check{bad("configuration", "change what it names: serve would not start", "%v", unread)}
	for _, name := range []string{"public port", "admin port", "disk", "clickhouse", "clock", "schema"} {
		checks = append(checks, bad(name, "mend the configuration first", "not checked: the configuration cannot be read"))
	}
	return checks
}

// examine makes all checks.
func (a *app) examine(ctx context.Context) []check {
	checks := []check{
		a.checkConfiguration(),
		a.checkPort(ctx, "public port", a.options.listen, "--listen"),
		a.checkPort(ctx, "admin port", a.options.adminListen, "--serve.admin_listen"),
		a.checkDisk(),
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	server, err := a.open(ctx)
	if err != nil {
		mend := store.Hint(err)
		if mend == "" {
			mend = "see what it says; clickhouse.addrs names a server, and empty means the embedded one"
		}
		checks = append(checks, bad("clickhouse", mend, "%v", err))
		for _, name := range []string{"clock", "schema"} {
			checks = append(checks, bad(name, "mend ClickHouse first", "not checked: ClickHouse is not there"))
		}
		return checks
	}
	where := "embedded in " + a.data
	if len(a.clickhouseAddrs) > 0 {
		where = strings.Join(a.clickhouseAddrs, ", ")
	}
	checks = append(checks, good("clickhouse", "version %s, %s", server.Version(), where), a.checkClock(ctx, server.Conn()), a.checkSchema(ctx, server))
	if err := server.Close(); err != nil {
		checks = append(checks, bad("clickhouse", store.Hint(err), "it does not end well: %v", err))
	}
	return checks
}

func (a *app) checkConfiguration() check {
	const name = "configuration"
	if _, err := a.options.ingestConfig(a.spoolDir()); err != nil {
		return bad(name, "change that option", "%v", err)
	}
	if err := a.options.checkAddresses(true); err != nil {
		return bad(name, "change that option", "%v", err)
	}
	plan, err := a.options.plan()
	switch {
	case err != nil:
		return bad(name, "change what it names; photofinish rules lint shows all problems of a rules file", "%v", err)
	case plan.Rules == nil:
		return good(name, "no rules (settle.rules): events are taken in, nothing is settled%s", a.fromFile())
	}
	return good(name, "%d rules in %s%s", len(plan.Rules.Rules), a.options.rules, a.fromFile())
}

// fromFile names the configuration file, if there is one.
func (a *app) fromFile() string {
	if a.config == "" {
		return ""
	}
	return "; by the configuration file " + a.config
}

// checkPort wants a port to be free, or a photofinish behind it.
func (a *app) checkPort(ctx context.Context, name, addr, option string) check {
	listener, err := serve.Listen(ctx, addr, option, 0)
	if err == nil {
		listener.Close()
		return good(name, "%s is free", addr)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", http.NoBody); err == nil {
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
			if answer.Header.Get("Content-Type") == "application/json" {
				return good(name, "photofinish answers on %s", addr)
			}
		}
	}
	return bad(name, "stop what listens there, or choose another with "+option, "%v", err)
}

// leastFree is how much of the disk must be free.
const leastFree = 1 << 30

// checkDisk looks at the disk of the data folder, or of where it will be.
func (a *app) checkDisk() check {
	const name = "disk"
	dir, err := filepath.Abs(a.data)
	if err != nil {
		return bad(name, "name another folder with --data", "%v", err)
	}
	at := dir
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return bad(name, "name another folder with --data", "%s is not a folder", at)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at) {
			return bad(name, "let this user read it, or name another folder with --data", "%v", err)
		}
		at = filepath.Dir(at)
	}
	probe, err := os.CreateTemp(at, ".photofinish-doctor-*")
	if err != nil {
		return bad(name, "let this user write there, or name another folder with --data", "%v", err)
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	var fs syscall.Statfs_t
	if err == nil {
		err = syscall.Statfs(at, &fs)
	}
	if err != nil {
		return bad(name, "see to that disk, or name another folder with --data", "%v", err)
	}
	free := uint64(fs.Bavail) * uint64(fs.Bsize) //nolint:unconvert // the types differ between systems
	if free < leastFree {
		return bad(name, "free space there, or name another folder with --data", "%d MiB are free for %s, less than %d", free>>20, dir, leastFree>>20)
	}
	return good(name, "%d GiB are free for %s", free>>30, dir)
}

// checkClock compares this machine's clock with that of ClickHouse's.
func (a *app) checkClock(ctx context.Context, conn driver.Conn) check {
	const name = "clock"
	best, offset := time.Duration(1<<62), time.Duration(0)
	for range 5 { // the quickest answer says it best
		var ns int64
		sent := time.Now()
		if err := conn.QueryRow(ctx, "SELECT toUnixTimestamp64Nano(now64(9))").Scan(&ns); err != nil {
			return bad(name, store.Hint(err), "%v", err)
		}
		if took := time.Since(sent); took < best {
			best, offset = took, time.Unix(0, ns).Sub(sent.Add(took/2))
		}
	}
	if off := offset.Abs() - best/2; off > a.options.nodeClockErr {
		return bad(name, "let both machines keep their clocks by NTP, or say how far off this one may be with ingest.node_clock_err",
			"it differs from that of ClickHouse by at least %s, more than ingest.node_clock_err (%s)", off.Round(time.Millisecond), a.options.nodeClockErr)
	}
	return good(name, "within %s of that of ClickHouse", (offset.Abs() + best/2).Round(time.Millisecond))
}

// checkSchema compares the tables with those that this version makes in a database of its
// own.
func (a *app) checkSchema(ctx context.Context, server *store.Server) (c check) {
	const name = "schema"
	own := *a
	own.clickhouseDatabase += scratchMark + strings.ToLower(rand.Text()[:8])
	scratch, err := own.open(ctx)
	if err != nil {
		return bad(name, "let the ClickHouse user create and drop databases", "%v", err)
	}
	defer func() {
		drop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := errors.Join(server.Conn().Exec(drop, "DROP DATABASE IF EXISTS "+own.clickhouseDatabase+" SYNC"), scratch.Close()); err != nil {
			c = bad(name, "drop the database "+own.clickhouseDatabase+", which nothing reads", "%v", err)
		}
	}()
	if err := migrate(ctx, scratch); err != nil {
		return bad(name, store.Hint(err), "%v", err)
	}
	want, err := columns(ctx, server.Conn(), own.clickhouseDatabase)
	if err != nil {
		return bad(name, store.Hint(err), "%v", err)
	}
	have, err := columns(ctx, server.Conn(), a.clickhouseDatabase)
	if err != nil {
		return bad(name, store.Hint(err), "%v", err)
	}
	if len(have) == 0 {
		return good(name, "database %s is empty: the tables are made at the first start", a.clickhouseDatabase)
	}
	var wrong []string
	for _, column := range slices.Sorted(maps.Keys(want)) {
		if have[column] != want[column] {
			wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", column, have[column], want[column]))
		}
	}
	if len(wrong) > 0 {
		more := ""
		if len(wrong) > 3 {
			wrong, more = wrong[:3], fmt.Sprintf(" and %d more", len(wrong)-3)
		}
		return bad(name, "tables that are missing are made by the next start of serve; one with other columns is of another version of photofinish: use that",
			"%s%s", strings.Join(wrong, ", "), more)
	}
	return good(name, "database %s has the %d columns of this version", a.clickhouseDatabase, len(want))
}

// columns returns the types of a database's columns by "table.column".
func columns(ctx context.Context, conn driver.Conn, database string) (types map[string]string, err error) {
	rows, err := conn.Query(ctx, "SELECT table || '.' || name, type FROM system.columns WHERE database = {database:String}", clickhouse.Named("database", database))
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", database, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types = map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, fmt.Errorf("read the columns of %s: %w", database, err)
		}
		types[name] = kind
	}
	return types, rows.Err()
}
