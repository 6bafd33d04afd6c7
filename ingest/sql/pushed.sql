-- pushed: what the log holds of a server under ids that are not those of imported logs,
-- NAME@STAMP-DIGEST:LINE: the server has sent it itself. It reads the rows of this
-- server. Parameters: server; from_ns and to_ns, Unix nanoseconds, inclusive.
SELECT
    uniqExact(id) AS events,
    min(instant_ns) AS first_ns,
    max(instant_ns) AS last_ns
FROM identities
WHERE server = {server:String}
    AND instant_ns BETWEEN {from_ns:Int64} AND {to_ns:Int64}
    AND NOT match(id, '@[0-9]{8}T[0-9]{6}-[0-9a-f]{8}:[0-9]+$')
