-- progress: how far each node has come, appended to only. A reader takes the
-- greatest offset and the greatest watermark of a node, and lagging from its row
-- with the greatest published_ns.
CREATE TABLE IF NOT EXISTS progress
(
    node LowCardinality(String),
    offset UInt64,
    watermark_ns Int64,
    lagging Array(String),
    published_ns Int64
)
ENGINE = MergeTree
ORDER BY (node, offset)
SETTINGS
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
