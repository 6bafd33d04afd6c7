package main

import (
	"cmp"
	"context"
	"fmt"

	"photofinish/rules"
)

// crowd describes events that are made inside the engine. Its fields are SQL over e, the
// number of an event from 0, so that two rows of one event say the same. Those that are
// empty have a default.
type crowd struct {
	event  string // e, of the row's own number n: "n", where no event is told twice
	at     string // its stamp, Unix nanoseconds; clocks are right
	player string
	server string // twenty in turn, those of a node half
	id     string // grows
	target string // rabbit
	seq    string // grows; 0 is none
}

// logColumns are those of event_log and arrivals.
const logColumns = `node, offset, server, region, id, type, at_ns, seq, instant_ns, earliest_ns, latest_ns, backdated,
    player, guild, target, sku, count, price_minor, currency, attrs, content, received_ns`

// framed is the SQL of a number, and of a text, as rules.Event.Digest frames them.
func framed(number string) string { return "reinterpretAsFixedString(toUInt64(" + number + "))" }

// rowsSQL makes the rows from a number on.
func (c crowd) rowsSQL(first, rows uint64) string {
	return fmt.Sprintf(`SELECT %s
FROM
(
    SELECT
        if(n %% 2 = 0, 'eu', 'us') AS node,
        intDiv(n, 2) + 1 AS offset,
        %s AS server,
        substring(server, 1, 2) AS region,
        %s AS id,
        'kill' AS type,
        toInt64(%s) AS at_ns,
        toUInt64(%s) AS seq,
        at_ns AS instant_ns,
        at_ns AS earliest_ns,
        at_ns AS latest_ns,
        0 AS backdated,
        %[6]s AS player,
        '' AS guild,
        %[7]s AS target,
        '' AS sku,
        1 AS count,
        0 AS price_minor,
        '' AS currency,
        ['mage', 'bard', 'monk'][e %% 3 + 1] AS class,
        map('class', class) AS attrs,
        substring(SHA256(concat(
            arrayStringConcat(arrayMap(s -> concat(%[8]s, s), [server, region, id, type, player, guild, target, sku, currency])),
            %[9]s, %[10]s, %[11]s, %[12]s, %[10]s,
            %[13]s, 'class', %[14]s, class)), 1, 16) AS content,
        at_ns AS received_ns
    FROM (SELECT number AS n, toUInt64(%[15]s) AS e FROM numbers(%[16]d, %[17]d))
)`,
		logColumns,
		cmp.Or(c.server, "concat(if(e % 2 = 0, 'eu', 'us'), '-', toString((intDiv(e, 2) + intDiv(e, 100000)) % 10))"),
		cmp.Or(c.id, "leftPad(toString(e), 12, '0')"), c.at, cmp.Or(c.seq, "e + 1"), c.player, cmp.Or(c.target, "'rabbit'"),
		framed("length(s)"), framed("at_ns"), framed("1"), framed("price_minor"), framed("seq"), framed("5"), framed("length(class)"),
		cmp.Or(c.event, "n"), first, rows)
}

// tell adds rows to the merged log as two nodes would, in inserts of so many, and has
// the nodes publish that they have told of everything before an instant.
func (s *scene) tell(ctx context.Context, c crowd, rows, each uint64, before rules.Instant) error {
	if rows%2 != 0 {
		return fmt.Errorf("%d rows cannot be told by two nodes in turn", rows)
	}
	for end := s.told + rows; s.told < end; {
		n := min(each-each%2, end-s.told)
		whole := fmt.Sprintf("\nSETTINGS max_insert_threads = 1, max_threads = 1, min_insert_block_size_rows = %d, min_insert_block_size_bytes = 0", n)
		from := fmt.Sprintf("\nFROM arrivals WHERE node IN ('eu', 'us') AND offset > %d AND offset <= %d", s.told/2, (s.told+n)/2)
		const identity = "server, id, content, node, offset, instant_ns, earliest_ns, latest_ns, player"
		for _, statement := range []string{
			"INSERT INTO arrivals (" + logColumns + ")\n" + c.rowsSQL(s.told, n),
			"INSERT INTO event_log (" + logColumns + ")\nSELECT " + logColumns + from,
			"INSERT INTO identities (" + identity + ")\nSELECT " + identity + from,
		} {
			if err := s.exec(ctx, statement+whole); err != nil {
				return fmt.Errorf("tell of events %d to %d: %w", s.told, s.told+n, err)
			}
		}
		s.told += n
	}
	s.published++
	for _, node := range []string{"eu", "us"} {
		said := fmt.Sprintf("INSERT INTO progress (node, published, at_ns, offset, watermark_ns) VALUES ('%s', %d, %d, %d, %d)",
			node, s.published, before, s.told/2, before)
		if err := s.exec(ctx, said); err != nil {
			return fmt.Errorf("publish the nodes' progress: %w", err)
		}
	}
	return nil
}
