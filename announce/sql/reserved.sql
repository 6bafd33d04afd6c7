-- reserved: what cuts before from said about the attempts that hold a unit, of the
-- limited sales that the cuts from..to say something about. An entry has a key if
-- it reserves, and corrects an earlier one if it takes the unit away again.
SELECT body
FROM ledger_entries
WHERE cut < {from:UInt64} AND kind = 'allocation'
    AND (key != '' OR JSONExtractString(body, 'allocation', 'corrects') != '')
    AND (rule, scope, window_opens_ns, window_closes_ns) IN
    (
        SELECT rule, scope, window_opens_ns, window_closes_ns
        FROM ledger_entries
        WHERE cut BETWEEN {from:UInt64} AND {to:UInt64} AND kind = 'allocation'
            AND JSONExtractInt(body, 'allocation', 'stock') > 0
    )
ORDER BY cut, n, id
