-- touches: what each cut's slice adds at most to each tally. Rows of one cut may stand
-- several times: of equal keys the largest counts. A power cut may take them: the start
-- of a settler writes those of the last cut again and needs no others.
CREATE TABLE IF NOT EXISTS touches
(
    cut UInt64,
    rule UInt64, -- rules.Rule.TallyKey
    scope LowCardinality(String),
    opens_ns Int64,
    subject String,
    member String, -- of a guild: whose event it was; '' of a player
    value String, -- of a distinct measure
    amount UInt128,
    earliest_ns Int64 -- the first instant at which any of it can have happened
)
ENGINE = ReplacingMergeTree
PARTITION BY intDiv(cut, 256)
ORDER BY (cut, rule, scope, opens_ns, subject, member, value)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0;

-- tallies: at the cut the sum was at most total. The highest cut's row is the tally.
CREATE TABLE IF NOT EXISTS tallies
(
    rule UInt64,
    scope LowCardinality(String),
    opens_ns Int64,
    subject String,
    member String,
    value String,
    total UInt128,
    cut UInt64
)
ENGINE = ReplacingMergeTree(cut)
PARTITION BY intDiv(opens_ns, 31536000000000000)
ORDER BY (rule, scope, opens_ns, subject, member, value)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- claims: when a subject reached the threshold, by the evidence of the cut. What can
-- only have happened after the end of a claim does not change it, so it need not be
-- read again for that. A row of a cut that is not settled says nothing yet. A race is
-- decided from these alone where nobody is new, so they must outlive a power cut.
CREATE TABLE IF NOT EXISTS claims
(
    rule UInt64, -- with its ID: rules that count alike have claims of their own
    scope LowCardinality(String),
    opens_ns Int64,
    subject String,
    earliest_ns Int64,
    latest_ns Int64,
    cut UInt64
)
ENGINE = MergeTree
ORDER BY (rule, scope, opens_ns, subject)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- conflicts: identities with more than one content, once for each player that one of
-- them names, so that whoever reads a player's events knows which of them count.
CREATE TABLE IF NOT EXISTS conflicts
(
    player String,
    server LowCardinality(String),
    id String,
    content FixedString(16), -- that counts
    cut UInt64 -- from which on
)
ENGINE = ReplacingMergeTree
ORDER BY (player, server, id, cut)
SETTINGS index_granularity = 256, non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- numbers: the running numbers that a cut takes in of a server, so that the next cuts know
-- where it goes on. Rows of one cut may stand several times. A cut
-- may have been taken in before its nodes published some of it as lost: the rows with the
-- greatest lost are those that it was settled with, and '' is in them where no server is.
CREATE TABLE IF NOT EXISTS numbers
(
    cut UInt64,
    server LowCardinality(String),
    first UInt64,
    last UInt64,
    count UInt64, -- of all of them
    lost UInt64 -- offsets that the cut is without
)
ENGINE = ReplacingMergeTree
PARTITION BY intDiv(cut, 256)
ORDER BY (cut, server, lost)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;

-- clocks: how far the ends of a server's events lie from its own stamps, at most and
-- at least: from that follows how far its estimates can contradict its order.
CREATE TABLE IF NOT EXISTS clocks
(
    server LowCardinality(String),
    most_e SimpleAggregateFunction(max, Int64),
    least_e SimpleAggregateFunction(min, Int64),
    least_l SimpleAggregateFunction(min, Int64)
)
ENGINE = AggregatingMergeTree
ORDER BY server
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1;
