package ingest

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"photofinish/rules"
)

//go:embed sql/pushed.sql
var selectPushed string

// PushedError says that a server has sent events itself, of a time that an import of its log
// files holds too. The ids of the two are not alike, so what happened would count twice.
type PushedError struct {
	Server   string
	Events   uint64        // of that time
	From, To rules.Instant // the first and the last of them
}

func (e *PushedError) Error() string {
	return fmt.Sprintf("server %s has sent %d events from %s to %s itself, or they were imported in another format: "+
		"what these files tell of that time would count twice; leave that time out, or say --again if it is not the same", printable(e.Server), e.Events, e.From, e.To)
}

// logTime is the time of the events of one log or of several, both ends included.
type logTime struct{ from, to rules.Instant }

// timesAtOnce is how many times one query asks for.
const timesAtOnce = 5_000

// refusePushed looks in the log for what the server sent itself of the time of each log
// that was read: what it sent of the days between two of them is in neither. What another
// node has not forwarded is not there yet.
func (im *importing) refusePushed(ctx context.Context) error {
	if im.stage.Len() == 0 {
		return nil
	}
	e := PushedError{Server: im.rd.server}
	for some := range slices.Chunk(together(im.logTimes), timesAtOnce) {
		var from, to []int64
		for _, p := range some {
			from, to = append(from, int64(p.from)), append(to, int64(p.to))
		}
		var events uint64
		var first, last int64
		err := im.node.conn.QueryRow(ctx, selectPushed, clickhouse.Named("server", e.Server),
			clickhouse.Named("from_ns", from), clickhouse.Named("to_ns", to)).Scan(&events, &first, &last)
		if err != nil {
			return fmt.Errorf("look for what %s sent itself: %w", quote(e.Server), err)
		}
		if events == 0 {
			continue
		}
		if e.Events == 0 { // they are in order
			e.From = rules.Instant(first)
		}
		e.Events, e.To = e.Events+events, rules.Instant(last)
	}
	if e.Events == 0 {
		return nil
	}
	return &e
}

// together returns the times in order, each as long as it may be where a stamp was cut
// to its second and the server sent more of it, and those as one that meet.
func together(times []logTime) []logTime {
	slices.SortFunc(times, func(a, b logTime) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var all []logTime
	for _, p := range times {
		p.to += rules.Instant(wholeSecond)
		if n := len(all); n > 0 && p.from <= all[n-1].to {
			all[n-1].to = max(all[n-1].to, p.to)
		} else {
			all = append(all, p)
		}
	}
	return all
}
