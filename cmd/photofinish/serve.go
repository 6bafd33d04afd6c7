package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"photofinish/announce/web"
	"photofinish/cmd/clickhouse"
	"photofinish/cmd/photofinish/serve"
	"photofinish/ingest"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/keys"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/settle"
)

// process is a running serve, or a role of it.
type process struct {
	*app

	roles      roles
	later      *clickhouse.Later
	group      *serve.Group
	health     *serve.Health
	metrics    *serve.Metrics
	public     *http.ServeMux
	settlement *serve.Settlement     // nil: another role's
	refused    atomic.Pointer[error] // why what was read last was not taken over
}

// run does the work of the roles until ctx is done. What can be wrong with the
// configuration is found before anything is started.
func (a *app) run(ctx context.Context, does roles) (err error) {
	p := &process{
		app: a, roles: does, group: serve.NewGroup(a.log), health: &serve.Health{}, metrics: serve.NewMetrics(), public: http.NewServeMux(),
	}
	var plan serve.Plan
	if does.settle {
		if plan, err = a.options.plan(); err != nil {
			return err
		}
	}
	if p.later, err = clickhouse.NewLater(a.store(), migrate, a.log); err != nil {
		return usageError{err}
	}
	if err := a.options.checkAddresses(does.ingest || does.announce); err != nil {
		return err
	}
	operators, err := serve.Listen(ctx, a.options.adminListen, "--serve.admin_listen", serve.Lingers)
	if err != nil {
		return err
	}
	defer operators.Close()
	var public net.Listener
	if does.ingest || does.announce {
		if public, err = serve.Listen(ctx, a.options.listen, "--listen", serve.Lingers); err != nil {
			return err
		}
		defer public.Close()
	}

	// In the order in which they need each other; they are stopped in the reverse.
	p.addStore()
	p.group.Add("operators", serve.HTTP(operators, serve.Operators(operators.Addr(), p.health, p.metrics), serve.OperatorsLimits, a.log))
	var known *keys.Store
	wrong := httpapi.NewWrongKeys()
	if does.ingest || does.announce {
		if known, err = p.addKeys(ctx); err != nil {
			return err
		}
	}
	document, err := does.document()
	if err != nil {
		return err
	}
	if does.ingest {
		closeNode, err := p.addIngest(ctx, known, wrong, document)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeNode()) }()
	}
	if does.settle {
		p.addSettlement(plan)
	}
	if does.announce {
		web.New(web.Tables(p.later.Conn()), access(known, wrong, time.Now), a.log, time.Now).Mount(p.public)
		if !does.ingest {
			p.public.HandleFunc("/openapi.json", serve.OpenAPI(document))
		}
	}
	p.health.Add("configuration", p.configuration)
	if public != nil {
		p.health.Mount(p.public, false)
		p.public.HandleFunc("/", web.NotFound)
		p.group.Add("public", serve.HTTP(public, p.metrics.Requests(p.public), serve.PublicLimits, a.log))
	}
	p.say(public, operators, plan)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go p.reloadOnHangup(ctx)
	return p.group.Run(ctx)
}

// document returns the OpenAPI document of the roles' paths.
func (r roles) document() ([]byte, error) {
	var documents [][]byte
	if r.ingest {
		documents = append(documents, httpapi.Document())
	}
	if r.announce {
		documents = append(documents, web.Document())
	}
	return serve.Document(documents...)
}

// say tells a person who looks where to go on. Logs have it at their own level.
func (p *process) say(public, operators net.Listener, plan serve.Plan) {
	if public != nil {
		fmt.Fprintf(p.stderr, "photofinish listens on http://%s, for operators on http://%s\n", public.Addr(), operators.Addr())
	} else {
		fmt.Fprintf(p.stderr, "photofinish listens for operators on http://%s\n", operators.Addr())
	}
	if p.roles.settle && plan.Rules == nil {
		fmt.Fprintln(p.stderr, "There are no rules (--rules), so nothing is settled; events are taken in.")
	}
}

// addStore opens ClickHouse in the background, also the embedded one: events are taken in
// meanwhile.
func (p *process) addStore() {
	p.group.Add("clickhouse", p.later.Run)
	p.health.Add("clickhouse", func() (serve.Status, string) {
		switch server, problem := p.later.Server(), p.later.Problem(); {
		case server != nil:
			return serve.OK, "version " + server.Version()
		case problem != nil:
			return serve.Failing, problem.Error()
		}
		return serve.Waiting, "it is being started, or not reached yet"
	})
	if !p.roles.ingest {
		p.health.Ready(func() error {
			if p.later.Server() == nil {
				return clickhouse.ErrNotOpen
			}
			return nil
		})
	}
}

// shownGaps is how many gaps /healthz names.
const shownGaps = 10

// gapsText says which numbers of servers have not come to this node.
func gapsText(gaps []httpapi.Gap) string {
	var said []string
	for i, g := range gaps {
		if i == shownGaps {
			said = append(said, fmt.Sprintf("and %d more", len(gaps)-shownGaps))
			break
		}
		of := ""
		if g.Log != "" {
			of = "bytes of its log "
		}
		said = append(said, fmt.Sprintf("%s lacks %s%d–%d", g.Server, of, g.First, g.Last))
	}
	return strings.Join(said, "; ")
}

// startLimit is how long what needs ClickHouse waits for its start before it begins all the
// same, and then says that it is away.
const startLimit = 5 * time.Second

// awaitStore waits until ClickHouse is open, for startLimit at most: what is done then
// succeeds at once, and nobody is warned of a start that takes its time.
func (p *process) awaitStore(ctx context.Context) {
	select {
	case <-p.later.Opened():
	case <-time.After(startLimit):
	case <-ctx.Done():
	}
}

// forwardLimit is how long a node that stops goes on sending what it has, and forwardAgain
// when it tries again after that failed: ClickHouse may be starting yet.
const (
	forwardLimit = 30 * time.Second
	forwardAgain = 500 * time.Millisecond
)

// forwardAll forwards what a node has, again and again until that succeeds, there is
// nothing to forward, or ctx is done; then it returns why the last try failed.
func forwardAll(ctx context.Context, node *ingest.Node) error {
	for {
		err := node.Forward(ctx)
		if s := node.Status(); err == nil || s.Last <= s.Forwarded {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(forwardAgain):
		}
	}
}

// addIngest opens the node, which needs no ClickHouse, and adds it with its keys. The
// function that it returns closes the node.
func (p *process) addIngest(ctx context.Context, known *keys.Store, wrong *httpapi.WrongKeys, document []byte) (closeNode func() error, err error) {
	o := &p.options
	cfg, err := o.ingestConfig(p.spoolDir())
	if err != nil {
		return nil, err
	}
	conn := p.later.Conn()
	node, err := ingest.New(conn, p.log, cfg, time.Now)
	if err != nil {
		return nil, usageError{err}
	}
	taken := &acceptor{node: node, now: time.Now}
	handler, err := httpapi.New(taken, known, p.log, httpapi.Config{
		Now: time.Now, MaxBody: o.maxBody, Rate: o.rate, WrongKeys: wrong, Document: document, Count: p.metrics.Event, Refused: p.metrics.Refused,
	})
	if err != nil {
		return nil, usageError{err}
	}
	if err := node.Open(); err != nil {
		return nil, err
	}
	handler.Mount(p.public)
	p.metrics.Node(node.Status, time.Now)
	p.health.Ready(taken.ready)
	p.health.Ready(func() error { // without keys every push is refused
		if _, err := known.Find(ctx, ""); errors.Is(err, keys.ErrNotLoaded) {
			return err
		}
		return nil
	})
	p.health.Add("spool", func() (serve.Status, string) {
		if err := taken.ready(); err != nil {
			return serve.Failing, err.Error()
		}
		s := node.Status()
		return serve.OK, fmt.Sprintf("%d events, of which %d are not known to be in the log yet", s.Last, s.Last-min(s.Forwarded, s.Last))
	})
	p.health.Add("forward", func() (serve.Status, string) {
		switch s := node.Status(); {
		case s.Err != nil:
			return serve.Failing, s.Err.Error()
		case s.At.IsZero():
			return serve.Waiting, "nothing was sent on since the start"
		default:
			return serve.OK, "last at " + s.At.UTC().Format(time.RFC3339)
		}
	})
	p.health.Add("gaps", func() (serve.Status, string) { return serve.OK, gapsText(handler.Gaps()) })
	p.group.Add("node", func(ctx context.Context) error {
		p.awaitStore(ctx)
		err := node.Run(ctx)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), forwardLimit)
		defer cancel()
		if err := forwardAll(ending, node); err != nil {
			s := node.Status()
			p.log.WarnContext(ending, "events stay in the spool until the next start", "events", s.Last-min(s.Forwarded, s.Last), "err", err)
		}
		return err
	})
	return node.Close, nil
}

// addKeys adds the keys that may push and read.
func (p *process) addKeys(ctx context.Context) (*keys.Store, error) {
	if err := os.MkdirAll(p.data, 0o750); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	known := keys.NewStore(p.later.Conn(), p.log, filepath.Join(p.data, "keys-"+p.options.node+".json"))
	if err := known.Load(); err != nil {
		p.log.WarnContext(ctx, "keys not loaded", "err", err)
	}
	p.health.Add("keys", func() (serve.Status, string) {
		if _, err := known.Find(ctx, ""); errors.Is(err, keys.ErrNotLoaded) {
			return serve.Waiting, err.Error()
		}
		return serve.OK, ""
	})
	p.group.Add("keys", func(ctx context.Context) error {
		p.awaitStore(ctx)
		return known.Run(ctx)
	})
	return known, nil
}

// access says what the bearer of a key may read: an operator everything, as on the command
// line, and who has another key what everybody may. Wrong keys count with those of who pushes.
func access(known httpapi.Keys, wrong *httpapi.WrongKeys, now func() time.Time) web.Access {
	return func(r *http.Request, text string) (whole bool, err error) {
		k, err := known.Find(r.Context(), text)
		if errors.Is(err, keys.ErrUnknown) {
			if wait := wrong.Count(r, now()); wait > 0 {
				return false, &web.TooManyError{After: wait}
			}
			return false, web.ErrUnknownKey
		}
		return k.Role == keys.RoleOperator, err
	}
}

// addSettlement adds the scheduled settlement.
func (p *process) addSettlement(plan serve.Plan) {
	newSettler := func(rhythm hour.Config) (serve.Settler, error) {
		settler, err := p.newSettler(p.later.Server(), rhythm)
		return &idleForwarder{Settler: settler, process: p}, err
	}
	p.settlement = serve.NewSettlement(plan, p.later.Opened(), newSettler, p.log, time.Now)
	p.metrics.Settlement(p.settlement)
	p.health.Add("settle", func() (serve.Status, string) {
		s := p.settlement.State()
		switch {
		case s.Idle:
			return serve.Waiting, "there are no rules: give settle.rules"
		case s.Err != nil:
			return serve.Failing, s.Err.Error()
		case s.Success.IsZero():
			return serve.Waiting, "no run has ended since the start"
		case len(s.Warnings) > 0:
			return serve.OK, strings.Join(s.Warnings, "; ")
		}
		return serve.OK, "last run ended at " + s.Success.UTC().Format(time.RFC3339) + ", the next begins at " + s.Next.UTC().Format(time.RFC3339)
	})
	p.group.Add("settle", p.settlement.Run)
}

// idleForwarder settles what the local nodes that no process runs have in their spools,
// too, such as that of imports: it forwards for them before its first run, and counts again
// before any other where the engine was restarted since.
type idleForwarder struct {
	*settle.Settler

	process *process
	done    bool // the first run
}

// Run is that of the settler.
func (f *idleForwarder) Run(ctx context.Context, set *rules.Ruleset, now hour.Now) (settle.Result, error) {
	p, catchUp := f.process, ingest.ForwardIdle
	if f.done {
		catchUp = ingest.Recount
	}
	if err := catchUp(ctx, p.later.Conn(), p.log, p.spoolDir(), time.Now); err != nil {
		return settle.Result{}, err
	}
	f.done = true
	return f.Settler.Run(ctx, set, now)
}

func (p *process) newSettler(server *clickhouse.Server, rhythm hour.Config) (*settle.Settler, error) {
	return settle.New(server.Conn(), p.log, settle.Config{Hour: rhythm, Store: server, Each: func(cut rules.Cut, entries []rules.Entry) {
		p.settlement.Settled(cut)
		p.metrics.Settled(entries)
	}})
}

// reloadOnHangup reads the configuration again at each SIGHUP.
func (p *process) reloadOnHangup(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			p.reload(ctx)
		}
	}
}
