package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
	"photofinish/ingest/keys"
)

const floodHelp = `flood runs photofinish serve with its embedded ClickHouse, has one honest game server push
125 events ten times a second, and lets others do to it what they can meanwhile:

  - a thousand refused requests a second of each kind: a wrong key, a body that is announced
    too large, an unknown encoding, 128 MB of nothing packed with gzip and with zstd, another
    server's events, and all of these at once;
  - thousands of connections on which a byte of a request comes now and then;
  - thousands that ask many times for what anybody may read, and read none of the answers.

The 99th percentile of the honest answers may become twice what it was, or 5 ms longer,
whichever is more. Every slow connection has to be ended by the node, somebody new has to be
answered meanwhile, and memory has to stay bounded. In the end the log has to hold every
event that was acknowledged, once, and nothing that was refused.

  go run ./cmd/bench flood
  go run ./cmd/bench flood --length 1m --slow 5000 --rate 1000
`

// flood is one run: a node, its honest server, and how much is done to it.
type flood struct {
	report
	dir    string
	length time.Duration // of each part
	slow   int           // connections
	rate   int           // requests a second that are to be refused
	only   string        // what is done; empty: everything

	node   *child
	guest  string // the key of another server, which never sends an event that is right
	honest *honest
	before time.Duration // 99th percentile of the honest answers in peace
}

const (
	honestName = "eu-1"
	guestName  = "us-1"
	// maxFloodMemory is what a node may have at most: the bodies that it may hold at once,
	// what their events take, and what a garbage collector leaves lying about.
	maxFloodMemory = 512 << 20
)

func runFlood(ctx context.Context, args []string) (err error) {
	f := flags("flood", floodHelp)
	fl := &flood{report: report{w: os.Stdout}}
	f.DurationVar(&fl.length, "length", 20*time.Second, "of each part")
	f.IntVar(&fl.slow, "slow", 5000, "slow connections")
	f.IntVar(&fl.rate, "rate", 1000, "refused requests a second")
	f.StringVar(&fl.only, "only", "", "refused, slow or unread; empty: all")
	binary := f.String("binary", "", "the photofinish to run; empty: built from ./cmd/photofinish")
	if err := f.Parse(args); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "refused", "slow", "unread"}, fl.only) {
		return fmt.Errorf("--only %q: give refused, slow or unread", fl.only)
	}
	if fl.length < time.Second || fl.slow < 1 || fl.rate < 1 {
		return fmt.Errorf("--length %v --slow %d --rate %d: give at least a second, a connection and a request", fl.length, fl.slow, fl.rate)
	}
	if fl.dir, err = os.MkdirTemp("", "photofinish-flood-*"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(fl.dir)
		} else {
			fmt.Fprintln(os.Stderr, "what it left is in", fl.dir)
		}
	}()
	if *binary == "" {
		if *binary, err = build(ctx, fl.dir); err != nil {
			return err
		}
	}
	return fl.run(ctx, *binary)
}

// run starts the node and does everything to it.
func (f *flood) run(ctx context.Context, binary string) (err error) {
	if err := mayOpen(f.slow + 1000); err != nil { //nolint:mnd // and whatever else is open
		return err
	}
	if f.node, err = newChild(ctx, binary, filepath.Join(f.dir, "data")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.node.stop()) }()
	if err := f.node.start(ctx, "serve"); err != nil {
		return err
	}
	server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: f.node.data, Progress: os.Stderr}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := ingest.Migrate(ctx, server.Conn()); err != nil { // the node does it, too, but perhaps later
		return err
	}
	f.honest = &honest{addr: f.node.listen}
	for _, k := range []struct {
		server string
		key    *string
	}{{honestName, &f.honest.key}, {guestName, &f.guest}} {
		if *k.key, _, err = keys.Create(ctx, server.Conn(), keys.Grant{Role: keys.RoleServer, Server: k.server, Region: k.server[:2], Timezone: "UTC"}, time.Now()); err != nil {
			return err
		}
	}
	if err := f.node.knows(ctx, f.guest); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.honest.close()) }()
	f.section(fmt.Sprintf("flood  one server pushes %d events ten times a second; %v of each", appendEvents, f.length))
	parts := []struct {
		name string
		run  func(context.Context) error
	}{{"peace", f.peace}, {"refused", f.refusals}, {"slow", f.slowSenders}, {"unread", f.slowReaders}, {"memory", f.memory}}
	for _, part := range parts {
		if f.only != "" && part.name != f.only && part.name != "peace" && part.name != "memory" {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if err := f.checkLog(ctx, server); err != nil {
		return err
	}
	f.note("\nAll answers are right. %d figures are over their limit.", f.over)
	if f.over > 0 {
		return fmt.Errorf("%d figures are over their limit", f.over)
	}
	return nil
}

// mayOpen checks that this process may have so many files open.
func mayOpen(files int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur < uint64(files) {
		return fmt.Errorf("%d files may be open and %d are needed: ulimit -n %[2]d, or fewer --slow", limit.Cur, files)
	}
	return nil
}

// peace measures the honest server alone.
func (f *flood) peace(ctx context.Context) error {
	if _, err := f.honest.push(ctx, time.Second); err != nil { // warm
		return err
	}
	answers, err := f.honest.push(ctx, f.length)
	if err != nil {
		return err
	}
	f.before = percentile(answers, 99)
	f.line("in peace: the 99th percentile of its answers", millis(f.before), "", 0, 0)
	return nil
}

// judge prints the honest answers beside those in peace.
func (f *flood) judge(what string, answers []time.Duration) {
	p99 := percentile(answers, 99)
	limit := max(2*f.before, f.before+5*time.Millisecond)
	f.line(what, millis(p99), millis(f.before), float64(p99)/float64(f.before), float64(limit)/float64(f.before))
}

// refusals does what is refused, one kind after the other and then all at once.
func (f *flood) refusals(ctx context.Context) error {
	kinds, err := refusedKinds(f.guest)
	if err != nil {
		return err
	}
	kinds = append(kinds, kinds.all())
	for _, kind := range kinds {
		flooding, stop := context.WithTimeout(ctx, f.length+time.Second)
		ended := make(chan error, 1)
		var refused refusedCount
		go func() {
			var err error
			refused, err = kind.flood(flooding, f.node.listen, f.rate)
			ended <- err
		}()
		answers, err := f.honest.push(ctx, f.length)
		stop()
		if err := errors.Join(err, <-ended); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		f.judge(fmt.Sprintf("%s, %d refused a second %v", kind.name, refused.perSecond(), refused.status), answers)
	}
	return nil
}

// slowSenders opens connections that send next to nothing.
func (f *flood) slowSenders(ctx context.Context) error {
	return f.slowConnections(ctx, "slow connections", newSlowCrowd(f.node.listen, f.guest))
}

// slowReaders opens connections that read nothing.
func (f *flood) slowReaders(ctx context.Context) error {
	return f.slowConnections(ctx, "connections that read nothing", newUnreadCrowd(f.node.listen))
}

// slowConnections opens the connections of a crowd, and sees them ended.
func (f *flood) slowConnections(ctx context.Context, name string, crowd *slowCrowd) error {
	crowding, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- crowd.run(crowding, f.slow) }()
	asked := make(chan struct{})
	fresh := make(chan struct{})
	var strangers []time.Duration
	var freshErr error
	go func() {
		defer close(fresh)
		strangers, freshErr = f.honest.fresh(ctx, asked)
	}()
	answers, err := f.honest.push(ctx, f.length)
	close(asked)
	<-fresh
	if err := errors.Join(err, freshErr); err != nil {
		return err
	}
	what := fmt.Sprintf("%d %s", f.slow, name)
	f.judge(what, answers)
	const limit = time.Second
	worst := percentile(strangers, 100)
	f.within("  somebody new, the slowest of "+fmt.Sprint(len(strangers)), millis(worst), millis(limit), worst <= limit)
	// A request has 30 seconds; those that wait for a place have theirs after it.
	const endsWithin = 40 * time.Second
	select {
	case err = <-ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(max(endsWithin-time.Since(began), 0) + time.Second):
		stop()
		err = <-ended
	}
	if err != nil {
		return err
	}
	last := time.Duration(crowd.last.Load())
	f.within(fmt.Sprintf("  ended by the node: %d of %d; the last after", crowd.ended.Load(), f.slow), seconds(last), seconds(endsWithin),
		int(crowd.ended.Load()) == f.slow && last <= endsWithin)
	return nil
}

// memory prints the most that the node ever had.
func (f *flood) memory(context.Context) error {
	peak, err := f.node.peak()
	if err != nil {
		return err
	}
	f.within("the most memory that the node had", megabytes(peak), megabytes(maxFloodMemory), peak <= maxFloodMemory)
	return nil
}

// checkLog waits until the log holds what was acknowledged, and checks that it holds each
// event once and nothing else.
func (f *flood) checkLog(ctx context.Context, server *clickhouse.Server) error {
	want := uint64(f.honest.events)
	var rows, distinct, honest uint64
	err := f.node.until(ctx, time.Minute, "the log does not hold what was acknowledged", func() (bool, error) {
		err := server.Conn().QueryRow(ctx, "SELECT count(), uniqExact(server, id), countIf(server = $1 AND toUInt64OrZero(id) BETWEEN 1 AND $2) FROM event_log", honestName, want).
			Scan(&rows, &distinct, &honest)
		return honest >= want, err
	})
	if err != nil {
		return err
	}
	// What was refused would be there by now as well: a node sends all that it has, in order.
	if rows != want || distinct != want || honest != want {
		return void("the log holds %d rows of %d events, %d of them acknowledged, want %d of each", rows, distinct, honest, want)
	}
	f.within("events in the log, each once; nothing that was refused", grouped(rows), grouped(want), true)
	f.note("Honest requests that had to be sent again: %d.", f.honest.again)
	return nil
}

// percentile returns the time that so many of a hundred do not exceed; 0 of none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := sortedTimes(times)
	return sorted[(len(sorted)*p+99)/100-1]
}

// jitter spreads what many begin at once over a time.
func jitter(d time.Duration) time.Duration { return rand.N(d) }
