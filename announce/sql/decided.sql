-- decided: the entries of the cuts from..to, both included, as in the ledger.
-- A cut that two settlers finished stands twice.
SELECT body
FROM ledger
WHERE cut BETWEEN {from:UInt64} AND {to:UInt64}
ORDER BY cut, n, id
LIMIT 1 BY cut, n
