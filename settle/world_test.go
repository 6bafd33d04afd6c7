package settle_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse"
	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/ingest"
	"photofinish/rules"
	"photofinish/rules/hour"
	"photofinish/rules/rulefile"
	"photofinish/settle"
	"photofinish/settle/verify"
)

func TestMain(m *testing.M) {
	clickhouse.RunChildIfAsked()
	settleAndDieIfAsked()
	clickhousetest.Main(m)
}

// unpackDays unpacks an archive of log files and returns seven folders of them, in
// the order of their names.
func unpackDays(t *testing.T, archive string) []string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	var names []string
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := filepath.Base(h.Name)
		names = append(names, name)
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	const parts = 7
	dir := t.TempDir()
	var folders []string
	for i := range parts {
		folder := filepath.Join(dir, fmt.Sprint("day", i+1))
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
		for _, name := range names[i*len(names)/parts : (i+1)*len(names)/parts] {
			if err := os.WriteFile(filepath.Join(folder, name), files[name], 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return folders
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// world is a database with the tables of ingest and settle.
type world struct {
	*testing.T
	conn  driver.Conn
	spool string
	set   *rules.Ruleset
}

func newWorld(t *testing.T, conn driver.Conn) *world {
	t.Helper()
	ctx := context.Background()
	if err := ingest.Migrate(ctx, conn); err != nil {
		t.Fatal(err)
	}
	if err := settle.Migrate(ctx, conn); err != nil {
		t.Fatal(err)
	}
	return &world{t, conn, t.TempDir(), ruleset(t, "../configs/counter-strike.yaml")}
}

func ruleset(t testing.TB, path string) *rules.Ruleset {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rulefile.Parse(path, source)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// importLogs takes logs of one server in through a node and returns what it did.
func (w *world) importLogs(node string, paths ...string) ingest.Summary {
	w.Helper()
	ctx := context.Background()
	n, err := ingest.New(w.conn, quiet(), ingest.Config{Node: node, Dir: w.spool}, time.Now)
	if err != nil {
		w.Fatal(err)
	}
	if err := n.Open(); err != nil {
		w.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			w.Error(err)
		}
	}()
	summary, err := n.Import(ctx, ingest.ImportOptions{Server: "cs", Region: "eu", Paths: paths})
	if err != nil {
		w.Fatal(err)
	}
	if err := n.Forward(ctx); err != nil {
		w.Fatal(err)
	}
	return summary
}

// run settles through an instant and fails the test on an error.
func (w *world) run(cfg settle.Config, through rules.Instant) settle.Result {
	w.Helper()
	result, err := w.try(cfg, through)
	if err != nil {
		w.Fatal(err)
	}
	return result
}

func (w *world) try(cfg settle.Config, through rules.Instant) (settle.Result, error) {
	s, err := settle.New(w.conn, quiet(), cfg)
	if err != nil {
		w.Fatal(err)
	}
	return s.Run(context.Background(), w.set, hour.Now{Mode: hour.Through, T: through})
}

// verify checks that a replay finds no difference.
func (w *world) verify() {
	w.Helper()
	v, err := verify.Run(context.Background(), w.conn, verify.Config{})
	if err != nil {
		w.Fatal(err)
	}
	if v.Cuts == 0 || v.Entries == 0 {
		w.Fatalf("verify replayed nothing: %+v", v)
	}
	for _, m := range v.Mismatches {
		w.Error("verify: ", m)
	}
}

// ledger returns every entry as it stands in the table, copies removed.
func (w *world) ledger() []string {
	w.Helper()
	rows, err := w.conn.Query(context.Background(), "SELECT DISTINCT cut, n, body FROM ledger ORDER BY cut, n, body")
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	var bodies []string
	for rows.Next() {
		var cut uint64
		var n uint32
		var body string
		if err := rows.Scan(&cut, &n, &body); err != nil {
			w.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return bodies
}

// decisions is the ledger without what differs between two databases that decide the
// same: a cut's record holds two clocks, and the entry that ends it its digest.
func (w *world) decisions() []string {
	w.Helper()
	var all []string
	for _, e := range w.entries() {
		if e.Settled != nil {
			e.ID, e.Settled.Previous, e.Settled.Record = "", "", ""
		}
		body, err := json.Marshal(&e)
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, string(body))
	}
	return all
}
