-- The tables of the ledger. Everything in them is only ever added to. Each write is
-- fsynced: what is announced must not be forgotten by a power cut.

-- cuts: candidates for each number; the one with the lowest
-- (_block_number, _block_offset) is the cut, for ever. Hence no partition key, no
-- TTL, and block columns that merges keep.
CREATE TABLE IF NOT EXISTS cuts
(
    number UInt64,
    through_ns Int64,
    body String -- rules.Cut as JSON
)
ENGINE = MergeTree
ORDER BY number
SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1, non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- recorded_cuts: the one reading of cuts: of each number the first candidate.
CREATE VIEW IF NOT EXISTS recorded_cuts AS
SELECT number, through_ns, body
FROM cuts
ORDER BY number, _block_number, _block_offset
LIMIT 1 BY number;

-- rulesets: every rules file a cut names, so that it can be replayed years later.
CREATE TABLE IF NOT EXISTS rulesets
(
    digest String,
    source String
)
ENGINE = MergeTree
ORDER BY digest
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- secrets: candidates for the secret that seeds of draws come from; the first
-- one, chosen as in cuts, is used for ever.
CREATE TABLE IF NOT EXISTS secrets
(
    secret String
)
ENGINE = MergeTree
ORDER BY tuple()
SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1, non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- ledger: the entries of each cut, all in one insert. A cut that two settlers
-- finished stands twice with equal rows.
CREATE TABLE IF NOT EXISTS ledger
(
    cut UInt64,
    n UInt32,
    kind LowCardinality(String),
    rule LowCardinality(String),
    scope String,
    window_opens_ns Int64,
    window_closes_ns Int64, -- both 0: for ever
    subject String, -- whom the entry names; '' is nobody
    key String, -- idempotency key of the effect; '' is none
    id String,
    body String, -- rules.Entry as JSON
    INDEX by_subject subject TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_rule rule TYPE set(100) GRANULARITY 1,
    INDEX by_kind kind TYPE set(16) GRANULARITY 1,
    INDEX by_closes window_closes_ns TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (cut, n)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- ledger_entries: the one reading of the ledger: an entry once. Two different rows
-- under one number, which cannot be if deciding is pure, both stay, so that whoever
-- reads them sees that something is wrong.
CREATE VIEW IF NOT EXISTS ledger_entries AS
SELECT DISTINCT cut, n, kind, rule, scope, window_opens_ns, window_closes_ns, subject, key, id, body
FROM ledger;
