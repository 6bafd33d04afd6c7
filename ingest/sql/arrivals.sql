-- arrivals: the rows of event_log once more, in the order in which each node sent
-- them: what is new since a cut lies together, however long the history. by_instant
-- finds what arrived before its time was closed, by_earliest what an event beyond a
-- cut may have come before.
CREATE TABLE IF NOT EXISTS arrivals
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
    INDEX by_instant instant_ns TYPE minmax GRANULARITY 1,
    INDEX by_earliest earliest_ns TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY intDiv(offset, 16777216)
ORDER BY (node, offset)
SETTINGS
    index_granularity = 1024,
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
