-- event_log: the merged log. One row for each time an event was inserted, so an
-- event may have several; (node, offset) names a place in a node's partition and
-- (server, id) the event. The partition is the day of the event's own claimed time:
-- a copy that comes later or by another node falls into the same one.
CREATE TABLE IF NOT EXISTS event_log
(
    node LowCardinality(String),
    offset UInt64 CODEC(T64, ZSTD(1)),
    server LowCardinality(String),
    region LowCardinality(String),
    id String CODEC(ZSTD(1)),
    type LowCardinality(String),
    at_ns Int64 CODEC(T64, ZSTD(1)),
    seq UInt64 CODEC(T64, ZSTD(1)),
    instant_ns Int64 CODEC(T64, ZSTD(1)),
    err_ns Int64 CODEC(T64, ZSTD(1)),
    player String CODEC(ZSTD(1)),
    guild String CODEC(ZSTD(1)),
    target String CODEC(ZSTD(1)),
    sku String CODEC(ZSTD(1)),
    count Int64 CODEC(T64, ZSTD(1)),
    price_minor Int64 CODEC(T64, ZSTD(1)),
    currency LowCardinality(String),
    attrs Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    content FixedString(16),
    received_ns Int64 CODEC(T64, ZSTD(1)),
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_instant instant_ns TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY intDiv(at_ns, 86400000000000)
ORDER BY (type, target, player, at_ns, seq, server, id)
SETTINGS
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
