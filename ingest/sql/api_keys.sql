-- api_keys: facts about API keys, appended to only: that one was created, and that
-- it was revoked. A key itself stands nowhere, only the SHA-256 of its text.
CREATE TABLE IF NOT EXISTS api_keys
(
    id String, -- random; the part of the key that may be shown
    revoked UInt8, -- 0: created, 1: revoked
    server String, -- what follows repeats in each fact, so that one alone says it all
    region String,
    timezone String,
    role LowCardinality(String),
    hash FixedString(32),
    at_ns Int64 -- when the fact was recorded
)
ENGINE = MergeTree
ORDER BY (id, revoked, at_ns)
SETTINGS
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
