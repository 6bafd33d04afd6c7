package demo

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/announce"
	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/ingest"
	"photofinish/ingest/keys"
	"photofinish/rules"
	"photofinish/rules/rulefile"
	"photofinish/settle"
)

// RulesYAML is the rules file of every world.
//
//go:embed rules.yaml
var RulesYAML []byte

// MaxHours bounds a world. The first six hours have the story.
const MaxHours = 72

// step is how often servers send. Nodes forward, and hours are settled, five
// minutes past.
const step = 5 * time.Minute

// epoch is when every world begins.
var epoch = rules.Instant(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixNano())

// Config says which world is played.
type Config struct {
	Seed  uint64
	Hours int    // from 1 to MaxHours
	Dir   string // the folder of the nodes' spools; must exist
	// Each, if set, is told of every hour once it is settled.
	Each func(*Hour)

	good bool // the network before the nodes loses and delays nothing; for tests
}

// Hour is what happened in an hour, and what was decided when it was over.
type Hour struct {
	Notes  []string        `json:"notes"` // what a chronicler saw; photofinish did not
	Report announce.Report `json:"report"`
}

// World is a simulated world. Play, then Audit; it is not safe for concurrent use.
type World struct {
	Hours  []Hour
	Faults audit.Faults

	conn    driver.Conn
	log     *slog.Logger
	cfg     Config
	set     *rules.Ruleset
	rng     *rand.Rand // of faults and delays
	now     rules.Instant
	tick    atomic.Int64 // now, for the nodes: they answer on goroutines of their own
	client  *http.Client
	servers []*server
	nodes   map[string]*node
	truth   []*audit.Event // in no order that matters
	notes   []note
	cuts    uint64 // settled
}

// New makes the events of a world that will use the empty database of conn. It does
// no I/O.
func New(conn driver.Conn, log *slog.Logger, cfg Config) (*World, error) {
	if cfg.Hours < 1 || cfg.Hours > MaxHours {
		return nil, fmt.Errorf("a world of %d hours: give 1 to %d", cfg.Hours, MaxHours)
	}
	set, err := rulefile.Parse("the demo's rules", RulesYAML)
	if err != nil {
		return nil, err
	}
	w := &World{
		conn: conn, log: log, cfg: cfg, set: set, nodes: map[string]*node{},
		rng: rand.New(rand.NewPCG(cfg.Seed, 1)),
		// A connection for each request, so that each meets the network anew.
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	w.turn(epoch)
	a := &author{rng: rand.New(rand.NewPCG(cfg.Seed, 2)), end: time.Duration(cfg.Hours) * time.Hour, servers: newServers(w.rng)}
	a.write()
	a.crowd()
	w.servers, w.notes = a.servers, a.notes
	for _, s := range w.servers {
		s.number()
		w.truth = append(w.truth, s.events...)
	}
	slices.SortStableFunc(w.notes, func(a, b note) int { return int(max(-1, min(1, a.at-b.at))) })
	return w, nil
}

// Events returns how many events were made.
func (w *World) Events() int { return len(w.truth) }

// clock is the clock of the nodes, which are right.
func (w *World) clock() time.Time { return rules.Instant(w.tick.Load()).Time() }

// turn moves the world on to an instant.
func (w *World) turn(to rules.Instant) {
	w.now = to
	w.tick.Store(int64(to))
}

// ended reports whether the last hour is over: then all that was kept back arrives.
func (w *World) ended() bool { return w.now >= epoch.Add(time.Duration(w.cfg.Hours)*time.Hour) }

// Play lets the world's hours pass and settles each. On an error the world is of no
// use any more.
func (w *World) Play(ctx context.Context) (err error) {
	online, hangUp := context.WithCancel(ctx)
	defer func() {
		hangUp()
		for _, name := range w.regions() {
			if n := w.nodes[name]; n != nil {
				err = errors.Join(err, n.door.close(ctx))
			}
			if n := w.nodes[name]; n != nil && n.Node != nil {
				err = errors.Join(err, n.Close())
			}
		}
	}()
	if err := w.prepare(online); err != nil {
		return fmt.Errorf("prepare the world: %w", err)
	}
	last := epoch.Add(time.Duration(w.cfg.Hours)*time.Hour + step)
	for w.now < last {
		w.turn(w.now.Add(step))
		if err := w.pass(ctx); err != nil {
			return fmt.Errorf("at %s of the world: %w", w.now, err)
		}
	}
	w.countFaults()
	return nil
}

// regions returns the regions' names, which are also their nodes', in a stable order.
func (w *World) regions() []string { return []string{"eu", "us", "asia"} }

func (w *World) prepare(ctx context.Context) error {
	if err := ingest.Migrate(ctx, w.conn); err != nil {
		return err
	}
	if err := settle.Migrate(ctx, w.conn); err != nil {
		return err
	}
	// In earnest the settlement draws this secret itself, at random. A demo must draw
	// the same lots each time.
	secret := sha256.Sum256(fmt.Appendf(nil, "the secret of demo world %d", w.cfg.Seed))
	if err := w.conn.Exec(ctx, "INSERT INTO secrets (secret) VALUES ($1)", hex.EncodeToString(secret[:])); err != nil {
		return fmt.Errorf("choose the secret of draws: %w", err)
	}
	for _, s := range w.servers {
		key, _, err := keys.Create(ctx, w.conn, keys.Grant{Role: keys.RoleServer, Server: s.name, Region: s.region, Timezone: "UTC"}, w.clock())
		if err != nil {
			return err
		}
		s.key = key
	}
	for i, name := range w.regions() {
		n := &node{name: name}
		w.nodes[name] = n
		if err := n.door.open(ctx, w.line(10+uint64(i))); err != nil {
			return err
		}
		if err := w.open(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// pass plays the step that ends now.
func (w *World) pass(ctx context.Context) error {
	for _, s := range w.servers {
		if err := w.send(ctx, s); err != nil {
			return fmt.Errorf("server %s: %w", s.name, err)
		}
	}
	// What the network held back arrives now, behind its copies and whatever else was sent.
	for _, name := range w.regions() {
		if err := w.nodes[name].door.proxy.Deliver(ctx); err != nil {
			return err
		}
	}
	minute := w.now.Time().Minute()
	if minute != 5 && minute != 30 {
		return nil
	}
	for _, name := range w.regions() {
		if err := w.forward(ctx, w.nodes[name]); err != nil {
			return err
		}
	}
	if minute != 5 || w.now < epoch.Add(time.Hour) {
		return nil
	}
	return w.settle(ctx)
}

// Audit compares what stands in the tables with the truth. An error means that it
// could not be compared; a guarantee that does not hold is a Check that is not OK.
func (w *World) Audit(ctx context.Context) (*audit.Result, error) {
	tables, err := audit.Read(ctx, w.conn)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	result, err := audit.Compare(w.Truth(), tables)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return result, nil
}

// Truth returns what truly happened, which photofinish does not know.
func (w *World) Truth() *audit.World {
	return &audit.World{
		Events: w.truth, Faults: w.Faults, Ruleset: w.set,
		Begins: epoch, Hours: w.cfg.Hours, Regions: w.regions(), Cuts: w.cuts, Reports: w.Reports(),
	}
}

// Reports returns the reports of all hours.
func (w *World) Reports() []announce.Report {
	reports := make([]announce.Report, len(w.Hours))
	for i := range w.Hours {
		reports[i] = w.Hours[i].Report
	}
	return reports
}

// chronicle returns the notes of the hour that ends at through.
func (w *World) chronicle(through rules.Instant) []string {
	notes := []string{}
	for _, n := range w.notes {
		if at := epoch.Add(n.at); at >= through.Add(-time.Hour) && at < through {
			notes = append(notes, clockText(n.at)+" "+n.text)
		}
	}
	return notes
}
