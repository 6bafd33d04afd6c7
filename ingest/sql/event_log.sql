-- event_log: the merged log. One row for each time an event was inserted, so an
-- event may have several; (node, offset) names a place in a node's partition and
-- (server, id) the event. The partition is the month of the event's own claimed
-- time, never of its arrival: a copy that comes later or by another node falls into
-- the same one. A player's events of a month lie together, so that the evidence of
-- few players reads little of a long history.
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
    earliest_ns Int64 CODEC(T64, ZSTD(1)),
    latest_ns Int64 CODEC(T64, ZSTD(1)),
    backdated UInt8,
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
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Nano(at_ns, 'UTC'))
PRIMARY KEY (player, type, target, at_ns)
ORDER BY (player, type, target, at_ns, seq, server, id)
SETTINGS
    index_granularity = 256,
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
