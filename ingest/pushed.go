package ingest

import (
	"context"
	_ "embed"
	"fmt"

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

// refusePushed looks in the log for what the server sent itself of the time of the logs
// that were read. What another node has not forwarded is not there yet.
func (im *importing) refusePushed(ctx context.Context) error {
	if im.logSpan.to == 0 || im.stage.Len() == 0 {
		return nil
	}
	e := PushedError{Server: im.rd.server}
	var from, to int64
	// A stamp of a file may be cut to its second where the server sent more of it.
	err := im.node.conn.QueryRow(ctx, selectPushed, clickhouse.Named("server", e.Server),
		clickhouse.Named("from_ns", fmt.Sprint(int64(im.logSpan.from))), clickhouse.Named("to_ns", fmt.Sprint(int64(im.logSpan.to)+wholeSecond))).Scan(&e.Events, &from, &to)
	if err != nil {
		return fmt.Errorf("look for what %s sent itself: %w", quote(e.Server), err)
	}
	if e.Events == 0 {
		return nil
	}
	e.From, e.To = rules.Instant(from), rules.Instant(to)
	return &e
}
