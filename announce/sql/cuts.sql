-- cuts: the cuts of the numbers from..to, both included, by number.
-- Of several candidates for a number the one that was committed first is the cut.
SELECT body
FROM cuts
WHERE number BETWEEN {from:UInt64} AND {to:UInt64}
ORDER BY number, _block_number, _block_offset
LIMIT 1 BY number
