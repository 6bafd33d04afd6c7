-- last_settled: the number of the last cut whose entries are complete; 0 is none.
SELECT max(cut)
FROM ledger_entries
WHERE kind = 'settled'
