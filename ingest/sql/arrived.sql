-- arrived: how many different offsets of a node are in the merged log, of a range.
-- Parameters: node; first and last, both inclusive.
SELECT uniqExact(offset)
FROM event_log
WHERE node = {node:String} AND offset BETWEEN {first:UInt64} AND {last:UInt64}
