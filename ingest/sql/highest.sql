-- highest: the highest offset of a node that any table holds, or the one after which
-- they are looked for. Parameters: node; after.
SELECT max(highest)
FROM
(
    SELECT {after:UInt64} AS highest
    UNION ALL
    SELECT max(offset) AS highest FROM event_log WHERE node = {node:String} AND offset > {after:UInt64}
    UNION ALL
    SELECT max(offset) AS highest FROM identities WHERE node = {node:String} AND offset > {after:UInt64}
    UNION ALL
    SELECT max(offset) AS highest FROM arrivals WHERE node = {node:String} AND offset > {after:UInt64}
)
