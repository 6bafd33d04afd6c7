-- progress: a node's word, appended to only: how far it has come, and what it
-- promises. The row with the highest published is the word, whole; columns of
-- several rows are never mixed.
CREATE TABLE IF NOT EXISTS progress
(
    node LowCardinality(String),
    published UInt64, -- running number of the node's rows
    at_ns Int64, -- the node's clock
    offset UInt64, -- everything up to it is in the log
    watermark_ns Int64, -- what gets a later offset cannot have happened before
    regions Array(Tuple(region String, watermark_ns Int64)),
    silent Array(Tuple(server String, watermark_ns Int64, since_ns Int64)), -- no longer waited for
    lost Array(Tuple(first UInt64, last UInt64)), -- offsets that are gone for good
    void Array(Tuple(first UInt64, last UInt64)), -- offsets in which nothing was acknowledged
    unused Array(Tuple(server String, first UInt64, last UInt64)), -- running numbers that servers gave to no event
    life String -- of the engine under which offset was counted; '' is believed
)
ENGINE = MergeTree
ORDER BY (node, published)
SETTINGS
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    min_compressed_bytes_to_fsync_after_merge = 1
