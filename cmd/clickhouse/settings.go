package clickhouse

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// The oldest server that is accepted: the first with deduplicate_insert.
const (
	oldestMajor = 26
	oldestMinor = 2
)

// A SettingError says that the server has a setting under which rows would be
// lost or outcomes change.
type SettingError struct {
	Name string // of the setting
	Have string // its value; empty if the server has no such setting
	Want string
	Why  string
}

// Error names the setting, both values and the reason.
func (e *SettingError) Error() string {
	have := fmt.Sprintf("is %q", e.Have)
	if e.Have == "" {
		have = "does not exist"
	}
	return fmt.Sprintf("the ClickHouse setting %s %s, photofinish needs %q: %s", e.Name, have, e.Want, e.Why)
}

// A setting is one that we rely on.
type setting struct {
	name, want string
	send       bool // send it with every query, not only check it
	table      bool // a default of MergeTree tables, not of queries
	why        string
}

// settings is everything about the server that could lose a row or change an
// outcome without an error, and has been seen to be changed by a release or is
// within reach of a profile.
var settings = []setting{
	{
		name: "async_insert", want: "0", send: true,
		why: "an insert must be in its table when it is acknowledged",
	},
	{
		name: "deduplicate_insert", want: "disable", send: true,
		why: "insert deduplication loses acknowledged rows in a crash",
	},
	{
		name: "query_plan_optimize_lazy_final", want: "0", send: true,
		why: "it gives wrong answers",
	},
	{
		name: "optimize_distinct_in_order", want: "0", send: true,
		why: "it makes DISTINCT over a sort key many times slower",
	},
	{
		name: "non_replicated_deduplication_window", want: "0", table: true,
		why: "insert deduplication loses acknowledged rows in a crash",
	},
	{name: "apply_prewhere_after_final", want: "0", why: "it changes what FINAL answers"},
	{name: "do_not_merge_across_partitions_select_final", want: "0", why: "FINAL would return duplicates"},
	{name: "final", want: "0", why: "every query says itself which copies it wants"},
	{name: "limit", want: "0", why: "answers would be cut off"},
	{name: "offset", want: "0", why: "answers would be cut off"},
	{name: "skip_unavailable_shards", want: "0", why: "the events of a lost shard would be missing silently"},
	{name: "result_overflow_mode", want: "throw", why: "answers would be cut off"},
	{name: "read_overflow_mode", want: "throw", why: "answers would be cut off"},
	{name: "timeout_overflow_mode", want: "throw", why: "answers would be cut off"},
	{name: "group_by_overflow_mode", want: "throw", why: "counts would be too low"},
	{name: "distinct_overflow_mode", want: "throw", why: "answers would be cut off"},
	{name: "sort_overflow_mode", want: "throw", why: "answers would be cut off"},
	{name: "join_overflow_mode", want: "throw", why: "answers would be cut off"},
	{name: "set_overflow_mode", want: "throw", why: "answers would be cut off"},
	{name: "use_query_cache", want: "0", why: "a read-back must see the table"},
	{name: "join_use_nulls", want: "0", why: "joins would change their answers"},
	{name: "group_by_use_nulls", want: "0", why: "groups would change their answers"},
	{name: "aggregate_functions_null_for_empty", want: "0", why: "empty sums would change their answers"},
}

// sentSettings returns the settings that every query carries.
func sentSettings() clickhouse.Settings {
	sent := clickhouse.Settings{}
	for _, s := range settings {
		if s.send {
			sent[s.name] = s.want
		}
	}
	return sent
}

// checkSettings returns a [*SettingError] for the first of our settings that has
// another value over conn.
func checkSettings(ctx context.Context, conn driver.Conn) error {
	names := make([]string, 0, len(settings))
	for _, s := range settings {
		names = append(names, s.name)
	}
	const query = `
SELECT name, value, false AS of_tables FROM system.settings WHERE name IN ({names:Array(String)})
UNION ALL
SELECT name, value, true AS of_tables FROM system.merge_tree_settings WHERE name IN ({names:Array(String)})`
	rows, err := conn.Query(ctx, query, clickhouse.Named("names", names))
	if err != nil {
		return fmt.Errorf("check ClickHouse settings: %w", err)
	}
	defer func() { _ = rows.Close() }()
	type key struct {
		name  string
		table bool
	}
	have := map[key]string{}
	for rows.Next() {
		var k key
		var value string
		if err := rows.Scan(&k.name, &value, &k.table); err != nil {
			return fmt.Errorf("check ClickHouse settings: %w", err)
		}
		have[k] = value
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check ClickHouse settings: %w", err)
	}
	for _, s := range settings {
		if value := have[key{s.name, s.table}]; value != s.want {
			return &SettingError{Name: s.name, Have: value, Want: s.want, Why: s.why}
		}
	}
	return nil
}

// checkVersion refuses a server that is too old.
func checkVersion(major, minor uint64) error {
	if major > oldestMajor || major == oldestMajor && minor >= oldestMinor {
		return nil
	}
	return fmt.Errorf("ClickHouse %d.%d is too old: photofinish needs %d.%d or newer", major, minor, oldestMajor, oldestMinor)
}

// tlsConfig is that of a connection to a server elsewhere.
func tlsConfig() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }
