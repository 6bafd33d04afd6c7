package settle_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"photofinish/announce"
	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/rules"
	"photofinish/settle"
)

// Two finishes that cannot be told apart lie on either side of a cut's bound. The
// first is held until the second is seen, so settling hour by hour decides what one
// step does, whatever the tie rule and the policy; and nothing is held at the end
// of a complete log.
func TestTieAcrossBound(t *testing.T) {
	source := "version: 1\nrules:\n"
	for _, tie := range []string{"share", "earliest", "draw"} {
		for _, policy := range []string{"duplicate_award", "keep"} {
			source += fmt.Sprintf("  - {id: %s-%s, kind: world_first, when: {type: kill}, threshold: 1, places: 2, tie: %s, on_correction: %s}\n",
				tie, policy[:4], tie, policy)
		}
	}
	set, err := rules.ParseRuleset("bound.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	one := time.Date(2026, 6, 1, 13, 0, 0, 0, time.UTC)
	var log []rules.Record
	for i, e := range []struct {
		server, player string
		at             time.Time
	}{
		{"eu-1", "ana", one.Add(-time.Second)},
		{"us-1", "bo", one},
		{"us-1", "cy", one.Add(70 * time.Minute)},
		{"eu-1", "dee", one.Add(2*time.Hour - time.Second)},
	} {
		r := rules.Record{Node: "n", Offset: uint64(i + 1), Instant: rules.Instant(e.at.UnixNano()), ErrNs: 5e8}
		r.Event = rules.Event{Server: e.server, ID: fmt.Sprint(i), Type: rules.TypeKill, At: r.Instant, Player: e.player, Count: 1, Seq: uint64(i + 1)}
		r.Content = r.Digest()
		log = append(log, r)
	}
	standing := func(period time.Duration) []string {
		conn := clickhousetest.New(t)
		w := newWorld(t, conn)
		w.set = set
		insertLog(t, conn, log)
		for _, statement := range []string{
			"INSERT INTO progress (node, offset) VALUES ('n', 4)",
			"INSERT INTO secrets (secret) VALUES ('known')",
		} {
			if err := conn.Exec(context.Background(), statement); err != nil {
				t.Fatal(err)
			}
		}
		w.run(settle.Config{Period: period}, rules.Instant(one.Add(2*time.Hour).UnixNano()))
		w.verify()
		reports, err := announce.Load(context.Background(), conn, announce.Standing())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range reports[0].Corrections {
			if !strings.Contains(c.Reason, "it was held") { // nothing had been given
				t.Errorf("period %s: %+v", period, c)
			}
		}
		var awards []string
		for _, a := range reports[0].Awards {
			awards = append(awards, fmt.Sprintf("%s %d. %s tied=%t %s", a.Rule, a.Place, a.Subject, a.Tied, a.State))
		}
		return awards
	}
	hourly, step := standing(time.Hour), standing(oneCut)
	if !slices.Equal(hourly, step) {
		t.Errorf("hour by hour %q,\nin one step %q", hourly, step)
	}
	if !slices.Contains(step, "share-dupl 1. ana tied=true provisional") || !slices.Contains(step, "share-dupl 1. bo tied=true provisional") {
		t.Errorf("no shared place among %q", step)
	}
}
