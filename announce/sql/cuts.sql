-- cuts: the cuts of the numbers from..to, both included, by number.
SELECT body
FROM recorded_cuts
WHERE number BETWEEN {from:UInt64} AND {to:UInt64}
ORDER BY number
