package serve

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"photofinish/ingest"
	"photofinish/rules"
	"photofinish/rules/hour"
)

// every returns metrics of which each has a value.
func every(t *testing.T) *Metrics {
	t.Helper()
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	schedule, err := ParseSchedule("@hourly", 0)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMetrics()
	m.Node(func() ingest.Status {
		return ingest.Status{
			Last: 10, Forwarded: 7, Bytes: 4096, Err: errors.New("down"), At: now.Add(-time.Minute),
			Regions: []rules.RegionMark{{Region: "eu", Watermark: rules.Instant(now.Add(-90 * time.Second).UnixNano())}},
			Lost:    []rules.Span{{First: 3, Last: 4}},
		}
	}, func() time.Time { return now })
	s := NewSettlement(Plan{Rules: &rules.Ruleset{}, Schedule: schedule}, nil, func(hour.Config) (Settler, error) { return &runs{}, nil },
		slog.New(slog.DiscardHandler), func() time.Time { return now })
	m.Settlement(s)
	s.once(t.Context(), &runs{}, &rules.Ruleset{})
	s.Settled(rules.Cut{Number: 3, Through: rules.Instant(now.UnixNano())})
	m.Settled([]rules.Entry{
		{Kind: rules.KindCompensation, Compensation: &rules.Compensation{Kind: "transfer"}}, {Kind: rules.KindConflict}, {Kind: rules.KindSettled},
	})
	m.Event("accepted", 5)
	m.Refused("key")
	handler := m.Requests(http.NotFoundHandler())
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	return m
}

// The metrics are named as Prometheus wants it, and hold what they say.
func TestMetrics(t *testing.T) {
	m := every(t)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	text, _ := io.ReadAll(answer.Body)
	lines := strings.Split(string(text), "\n")
	for _, want := range []string{
		`photofinish_ingest_events_total{result="accepted"} 5`,
		`photofinish_ingest_refused_requests_total{reason="key"} 1`,
		`photofinish_ingest_spool_events 3`,
		`photofinish_ingest_spool_bytes 4096`,
		`photofinish_ingest_watermark_lag_seconds{region="eu"} 90`,
		`photofinish_ingest_lost_events 2`,
		`photofinish_ingest_forward_failing 1`,
		`photofinish_ingest_forward_success_timestamp_seconds 1.79525514e+09`,
		`photofinish_settle_last_success_timestamp_seconds 1.7952552e+09`,
		`photofinish_settle_through_timestamp_seconds 1.7952552e+09`,
		`photofinish_settle_running_seconds 0`,
		`photofinish_settle_failures_total 0`,
		`photofinish_settle_duration_seconds_count 1`,
		`photofinish_ledger_entries_total{kind="conflict"} 1`,
		`photofinish_compensations_total{kind="transfer"} 1`,
		`photofinish_conflicts_total 1`,
		`photofinish_http_requests_total{code="404"} 1`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no line %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}
