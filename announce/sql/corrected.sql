-- corrected: the entries of cuts before from that the cuts from..to put right.
SELECT body
FROM ledger_entries
WHERE cut < {from:UInt64} AND id IN
    (
        SELECT JSONExtractString(body, 'correction', 'corrects')
        FROM ledger_entries
        WHERE cut BETWEEN {from:UInt64} AND {to:UInt64} AND kind = 'correction'
    )
ORDER BY cut, n, id
