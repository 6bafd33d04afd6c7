-- The tables that settle owns. Everything in them is only ever added to.
-- Each write is fsynced: what is announced must not be forgotten by a power cut.

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
-- finished stands twice with equal bodies: read LIMIT 1 BY cut, n.
CREATE TABLE IF NOT EXISTS ledger
(
    cut UInt64,
    n UInt32,
    kind LowCardinality(String),
    rule LowCardinality(String),
    scope String,
    window_opens_ns Int64,
    window_closes_ns Int64, -- both 0: for ever
    key String, -- idempotency key of the effect; '' is none
    id String,
    body String -- rules.Entry as JSON
)
ENGINE = MergeTree
ORDER BY (cut, n)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;
