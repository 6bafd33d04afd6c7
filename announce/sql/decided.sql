-- decided: the entries of the cuts from..to, both included, as in the ledger, but for
-- conflicts: of those there may be more than anybody reads.
SELECT body
FROM ledger_entries
WHERE cut BETWEEN {from:UInt64} AND {to:UInt64} AND kind != 'conflict'
ORDER BY cut, n, id
