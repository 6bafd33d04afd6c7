-- conflicts: the first conflicts that the cuts up to to found, as in the ledger.
-- It reads the table, not ledger_entries: in the order of its key it ends after the
-- first of them, however many there are.
SELECT body
FROM ledger
WHERE cut <= {to:UInt64} AND kind = 'conflict'
ORDER BY cut, n, id, body
LIMIT 1 BY cut, n
LIMIT {most:UInt64}
