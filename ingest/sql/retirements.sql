-- retirements: nodes that a person retired, each with the offset it had come to: it
-- is waited for again as soon as it has sent an event beyond.
CREATE TABLE IF NOT EXISTS retirements
(
    node LowCardinality(String),
    offset UInt64,
    reason String,
    at_ns Int64
)
ENGINE = MergeTree
ORDER BY (node, offset)
SETTINGS
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
