-- holes: ranges of a node's offsets up to its last that arrivals lacks, from the first
-- that it has. Parameters: node; last; most, how many.
SELECT toUInt64(previous + 1) AS first_missing, toUInt64(offset - 1) AS last_missing
FROM
(
    SELECT offset, lagInFrame(offset, 1, offset) OVER (ORDER BY offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
    FROM
    (
        SELECT DISTINCT offset FROM arrivals WHERE node = {node:String} AND offset <= {last:UInt64}
        UNION DISTINCT
        SELECT {last:UInt64} + 1 AS offset
    )
)
WHERE offset > previous + 1
ORDER BY first_missing
LIMIT {most:UInt64}
