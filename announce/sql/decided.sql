-- decided: the entries of the cuts from..to, both included, as in the ledger.
SELECT body
FROM ledger_entries
WHERE cut BETWEEN {from:UInt64} AND {to:UInt64}
ORDER BY cut, n, id
