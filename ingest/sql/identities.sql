-- identities: what each identity was sent with, one row for each of event_log. Copies
-- and contradictions of what is new are found here. Where a server's ids grow, few
-- rows are read for them; random ids cost a granule each.
CREATE TABLE IF NOT EXISTS identities
(
    server LowCardinality(String),
    id String CODEC(ZSTD(1)),
    content FixedString(16),
    node LowCardinality(String),
    offset UInt64 CODEC(T64, ZSTD(1)),
    instant_ns Int64 CODEC(T64, ZSTD(1)),
    earliest_ns Int64 CODEC(T64, ZSTD(1)),
    latest_ns Int64 CODEC(T64, ZSTD(1)),
    player String CODEC(ZSTD(1)),
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (server, id)
SETTINGS
    index_granularity = 256,
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
