-- conflicts: those that cuts before from found.
SELECT body
FROM ledger_entries
WHERE cut < {from:UInt64} AND kind = 'conflict'
ORDER BY cut, n, id
