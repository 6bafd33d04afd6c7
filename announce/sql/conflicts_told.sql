-- conflicts_told: how many conflicts each of the cuts from..to found, of those that found
-- some; with those of the cut from are those of all cuts before it.
SELECT
    greatest(cut, {from:UInt64}) AS told,
    uniqExact(cut, n)
FROM ledger
WHERE cut <= {to:UInt64} AND kind = 'conflict'
GROUP BY told
ORDER BY told
