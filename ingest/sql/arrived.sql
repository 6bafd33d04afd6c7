-- arrived: how many different offsets of a node are in each table, of a range.
-- Parameters: node; first and last, both inclusive; from_ns and to_ns, the span of the
-- events' own times, both inclusive.
SELECT least(
    (SELECT uniqExact(offset) FROM event_log
        WHERE at_ns BETWEEN {from_ns:Int64} AND {to_ns:Int64} AND node = {node:String} AND offset BETWEEN {first:UInt64} AND {last:UInt64}),
    (SELECT uniqExact(offset) FROM identities
        WHERE node = {node:String} AND offset BETWEEN {first:UInt64} AND {last:UInt64}),
    (SELECT uniqExact(offset) FROM arrivals
        WHERE node = {node:String} AND offset BETWEEN {first:UInt64} AND {last:UInt64}))
