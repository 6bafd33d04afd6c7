package serve

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"photofinish/ingest"
	"photofinish/ingest/httpapi"
	"photofinish/rules"
)

const namespace = "photofinish"

// Metrics is what an operator's Prometheus reads. Labels have few values: kinds, results,
// regions, and never a player or a server. Its methods are safe for concurrent use.
type Metrics struct {
	registry      *prometheus.Registry
	events        *prometheus.CounterVec
	refused       *prometheus.CounterVec
	requests      *prometheus.CounterVec
	settle        prometheus.Histogram
	entries       *prometheus.CounterVec
	compensations *prometheus.CounterVec
	conflicts     prometheus.Counter
}

// NewMetrics returns metrics of the process and the runtime; those of parts are added.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		events:   counter("ingest_events_total", "Events that were sent, by what became of them.", "result"),
		refused:  counter("ingest_refused_requests_total", "Requests that were refused as a whole, by reason.", "reason"),
		requests: counter("http_requests_total", "Requests to the public listener, by status.", "code"),
		settle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "settle_duration_seconds", Help: "How long runs of the settlement took, failed ones included.",
			Buckets: []float64{0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600},
		}),
		entries:       counter("ledger_entries_total", "Entries that this process appended to the ledger, by kind.", "kind"),
		compensations: counter("compensations_total", "Compensations among them, by kind.", "kind"),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "conflicts_total", Help: "Identities under which two contents were found, among them.",
		}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests,
	)
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second})
}

// Requests counts the answers of a handler.
func (m *Metrics) Requests(handler http.Handler) http.Handler {
	return promhttp.InstrumentHandlerCounter(m.requests, handler)
}

// Event counts what became of n events that were sent.
func (m *Metrics) Event(result string, n int) { m.events.WithLabelValues(result).Add(float64(n)) }

// Refused counts a request that was refused as a whole.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// Settled counts the entries of a cut that this process settled. Two processes that settle
// the same cut at once both count it.
func (m *Metrics) Settled(entries []rules.Entry) {
	for i := range entries {
		e := &entries[i]
		m.entries.WithLabelValues(string(e.Kind)).Inc()
		switch {
		case e.Compensation != nil:
			m.compensations.WithLabelValues(e.Compensation.Kind).Inc()
		case e.Kind == rules.KindConflict:
			m.conflicts.Inc()
		}
	}
}

// Node adds the metrics of the node whose status it is told.
func (m *Metrics) Node(status func() ingest.Status, now func() time.Time) {
	for _, result := range []string{httpapi.ResultAccepted, httpapi.ResultDuplicate, httpapi.ResultRejected} {
		m.events.WithLabelValues(result) // there from the start, so that a rate begins at zero
	}
	m.registry.MustRegister(m.events, m.refused, nodeCollector{status, now})
}

var (
	spoolEvents   = gauge("ingest_spool_events", "Events on the node's disk that are not yet known to be in the log.")
	spoolBytes    = gauge("ingest_spool_bytes", "Size of the node's spool.")
	watermarkLag  = gauge("ingest_watermark_lag_seconds", "How far the node's watermark is behind its clock, by region.", "region")
	silentServers = gauge("ingest_silent_servers", "Game servers that the node no longer waits for.")
	lostEvents    = gauge("ingest_lost_events", "Offsets of the node whose events were lost with a damaged disk.")
	forwardFails  = gauge("ingest_forward_failing", "1 if the last attempt to forward failed.")
	forwardedAt   = gauge("ingest_forward_success_timestamp_seconds", "When the node last forwarded, whether or not there was something new; 0: not yet.")
)

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

func show(ch chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

type nodeCollector struct {
	status func() ingest.Status
	now    func() time.Time
}

// Describe tells nothing: which regions there are is known only by and by.
func (nodeCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the node's status once, so that its numbers fit together.
func (c nodeCollector) Collect(ch chan<- prometheus.Metric) {
	s, now := c.status(), rules.Instant(c.now().UnixNano())
	show(ch, spoolEvents, float64(s.Last-min(s.Forwarded, s.Last)))
	show(ch, spoolBytes, float64(s.Bytes))
	for _, r := range s.Regions {
		show(ch, watermarkLag, time.Duration(now-r.Watermark).Seconds(), r.Region)
	}
	show(ch, silentServers, float64(len(s.Silent)))
	lost := uint64(0)
	for _, span := range s.Lost {
		lost += span.Last - span.First + 1
	}
	show(ch, lostEvents, float64(lost))
	show(ch, forwardFails, truth(s.Err != nil))
	show(ch, forwardedAt, stamp(s.At))
}

// Settlement adds the metrics of the settlement.
func (m *Metrics) Settlement(s *Settlement) {
	s.observe = m.settle.Observe
	for _, kind := range []rules.EntryKind{
		rules.KindAward, rules.KindBoard, rules.KindPrize, rules.KindAllocation, rules.KindCorrection,
		rules.KindCompensation, rules.KindCommitment, rules.KindConflict, rules.KindWaiting, rules.KindSettled,
	} {
		m.entries.WithLabelValues(string(kind))
	}
	m.registry.MustRegister(m.settle, m.entries, m.compensations, m.conflicts, settlementCollector{s})
}

var (
	settleSuccess  = gauge("settle_last_success_timestamp_seconds", "When a run of the settlement last ended well, whether or not something was due; 0: not yet.")
	settleNext     = gauge("settle_next_timestamp_seconds", "When the next run begins; 0: never, since there are no rules.")
	settleRunning  = gauge("settle_running_seconds", "For how long the present run has been going on; 0: none is.")
	settleFailed   = prometheus.NewDesc(namespace+"_settle_failures_total", "Runs that failed.", nil, nil)
	settleWarnings = gauge("settle_warnings", "What the last run warned of: events that the log lacks, a clock that is ahead.")
	settleThrough  = gauge("settle_through_timestamp_seconds", "Up to when is settled, as far as this process did it; 0: it has not.")
)

type settlementCollector struct{ settlement *Settlement }

// Describe tells nothing, as that of a node.
func (settlementCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the state once.
func (c settlementCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.settlement.State()
	show(ch, settleSuccess, stamp(s.Success))
	next := s.Next
	if s.Idle {
		next = time.Time{}
	}
	show(ch, settleNext, stamp(next))
	running := 0.0
	if !s.Running.IsZero() {
		running = c.settlement.now().Sub(s.Running).Seconds()
	}
	show(ch, settleRunning, running)
	ch <- prometheus.MustNewConstMetric(settleFailed, prometheus.CounterValue, float64(s.Failed))
	show(ch, settleWarnings, float64(len(s.Warnings)))
	through := 0.0
	if s.Last > 0 {
		through = stamp(s.LastBound.Time())
	}
	show(ch, settleThrough, through)
}
