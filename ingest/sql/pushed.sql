-- pushed: what the log holds of a server, in some spans of time, under ids that are not those of
-- imported logs, NAME@STAMP-DIGEST:LINE: the server has sent it itself. It reads the rows of
-- this server. Parameters: server; from_ns and to_ns, the ends of spans that do not meet,
-- Unix nanoseconds, inclusive, in the same order.
SELECT
    uniqExact(id) AS events,
    min(instant_ns) AS first_ns,
    max(instant_ns) AS last_ns
FROM
(
    SELECT
        server,
        id,
        instant_ns
    FROM identities
    WHERE server = {server:String}
        AND instant_ns BETWEEN arrayMin({from_ns:Array(Int64)}) AND arrayMax({to_ns:Array(Int64)})
        AND NOT match(id, '@[0-9]{8}T[0-9]{6}-[0-9a-f]{8}:[0-9]+$')
) AS pushed
ASOF INNER JOIN
(
    SELECT
        {server:String} AS server,
        span.1 AS from_ns,
        span.2 AS to_ns
    FROM (SELECT arrayJoin(arrayZip({from_ns:Array(Int64)}, {to_ns:Array(Int64)})) AS span)
) AS spans ON pushed.server = spans.server AND pushed.instant_ns >= spans.from_ns
WHERE instant_ns <= to_ns
