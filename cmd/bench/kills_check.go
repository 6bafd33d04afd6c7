package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest"
)

// check looks at what is left after all the kills, with nothing running any more.
func (k *kills) check(ctx context.Context) error {
	through := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	if _, err := k.photofinish(ctx, "settle", "--rules", k.rules(), "--through", through); err != nil {
		return err
	}
	// After the settlement, which first sends what the last serve had no time for.
	if err := k.checkLog(ctx); err != nil {
		return err
	}
	if _, err := k.photofinish(ctx, "verify"); err != nil {
		return err
	}
	under, err := k.decided(ctx, k.data())
	if err != nil {
		return err
	}
	calm := filepath.Join(k.dir, "calm")
	for _, s := range k.senders {
		file := filepath.Join(k.dir, s.name+".ndjson")
		if err := os.WriteFile(file, append(bytes.Join(s.journal, []byte("\n")), '\n'), 0o600); err != nil {
			return err
		}
		if _, err := k.on(ctx, calm, "import", "--server", s.name, "--region", s.region, "--clock-error", "1050ms", file); err != nil {
			return err
		}
	}
	if _, err := k.on(ctx, calm, "settle", "--rules", k.rules(), "--through", through); err != nil {
		return err
	}
	peace, err := k.decided(ctx, calm)
	if err != nil {
		return err
	}
	if len(peace) == 0 {
		return errors.New("the events decide nothing: the run is too short to show anything")
	}
	if !slices.Equal(under, peace) {
		return fmt.Errorf("what was decided differs from peace:\n%s", difference(under, peace))
	}
	repeats := 0
	for _, s := range k.senders {
		repeats += s.repeats
	}
	fmt.Printf("%d events, %d requests sent again, %d outcomes: all in the log, none twice, decided as in peace; %d calls failed; killed %v\n",
		k.acknowledged(), repeats, len(peace), k.injected, k.counts)
	return nil
}

// checkLog compares the log with the journals.
func (k *kills) checkLog(ctx context.Context) (err error) {
	server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: k.data(), Progress: os.Stderr}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	for _, s := range k.senders {
		want := map[string]string{} // content by id
		for _, line := range s.journal {
			e, err := ingest.DecodeEvent(line)
			if err != nil {
				return err
			}
			e.Server, e.Region = s.name, s.region
			content := e.Digest()
			want[e.ID] = string(content[:])
		}
		rows, err := server.Conn().Query(ctx, "SELECT id, groupUniqArray(content) FROM event_log WHERE server = $1 GROUP BY id", s.name)
		if err != nil {
			return err
		}
		found := 0
		for rows.Next() {
			var id string
			var contents []string
			if err := rows.Scan(&id, &contents); err != nil {
				return err
			}
			if content, sent := want[id]; !sent || len(contents) != 1 || contents[0] != content {
				return fmt.Errorf("the log holds %s/%s with %d contents, which is not what was sent", s.name, id, len(contents))
			}
			found++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if found != len(want) {
			return fmt.Errorf("of %d acknowledged events of %s the log holds %d", len(want), s.name, found)
		}
	}
	nodes, err := ingest.Nodes(ctx, server.Conn())
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if len(n.Holes) > 0 {
			return fmt.Errorf("node %s has holes: %v", n.Node, n.Holes)
		}
	}
	var lost uint64
	if err := server.Conn().QueryRow(ctx, "SELECT count() FROM progress WHERE notEmpty(lost)").Scan(&lost); err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%d rows of progress give offsets up as lost, though nothing was damaged", lost)
	}
	return nil
}

// decided returns every outcome that stands, one line each, in order. Of a sale these are
// the units: a report names of those who were told no only the first thousand.
func (k *kills) decided(ctx context.Context, data string) ([]string, error) {
	out, err := k.on(ctx, data, "report", "--format", "json", "--all")
	if err != nil {
		return nil, err
	}
	var all struct {
		Reports []struct {
			Awards []struct {
				Rule, Scope, Subject, State string
				Place                       int
				Corrects                    *string
			}
			Sales []struct {
				Rule, Scope string
				Attempts    []struct{ Player, At, State string }
			}
			Compensations []json.RawMessage
		}
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, err
	}
	stands := map[string]bool{}
	for _, r := range all.Reports {
		if len(r.Compensations) > 0 {
			return nil, fmt.Errorf("%s: an award was corrected, though everybody told in order: %s", data, r.Compensations[0])
		}
		for _, a := range r.Awards {
			if a.State != "held" {
				stands[fmt.Sprintf("%s %s %d %s", a.Rule, a.Scope, a.Place, a.Subject)] = true
			}
		}
		for _, s := range r.Sales {
			for _, a := range s.Attempts {
				if a.State != "reserved" {
					continue
				}
				stands[fmt.Sprintf("%s %s %s %s %s", s.Rule, s.Scope, a.Player, a.At, a.State)] = true
			}
		}
	}
	var lines []string
	for line := range stands { // order free: sorted below
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, nil
}

// difference shows what only one of two sorted lists has.
func difference(a, b []string) string {
	var d strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			fmt.Fprintln(&d, "only under kills:", line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			fmt.Fprintln(&d, "only in peace:   ", line)
		}
	}
	return d.String()
}
