-- missing: the offsets of a node, of a range, that are not in every table, in order.
-- Parameters: node; first and last, both inclusive; from_ns and to_ns, the span of the
-- events' own times, both inclusive.
SELECT {first:UInt64} + number AS missing
FROM numbers({last:UInt64} - {first:UInt64} + 1)
WHERE missing NOT IN
(
    SELECT offset
    FROM
    (
        SELECT DISTINCT offset, 'event_log' AS held_by FROM event_log
        WHERE at_ns BETWEEN {from_ns:Int64} AND {to_ns:Int64} AND node = {node:String} AND offset BETWEEN {first:UInt64} AND {last:UInt64}
        UNION ALL
        SELECT DISTINCT offset, 'identities' AS held_by FROM identities
        WHERE node = {node:String} AND offset BETWEEN {first:UInt64} AND {last:UInt64}
        UNION ALL
        SELECT DISTINCT offset, 'arrivals' AS held_by FROM arrivals
        WHERE node = {node:String} AND offset BETWEEN {first:UInt64} AND {last:UInt64}
    )
    GROUP BY offset
    HAVING count() = 3
)
ORDER BY missing
