-- correcting: the corrections by the cuts after to, up to last, of what the cuts
-- from..to decided.
SELECT body
FROM ledger_entries
WHERE cut > {to:UInt64} AND cut <= {last:UInt64} AND kind = 'correction'
    AND JSONExtractString(body, 'correction', 'corrects') IN
    (
        SELECT id
        FROM ledger_entries
        WHERE cut BETWEEN {from:UInt64} AND {to:UInt64} AND kind IN ('award', 'board')
    )
ORDER BY cut, n, id
