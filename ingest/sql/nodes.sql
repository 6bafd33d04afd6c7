-- nodes: the last word of every node, by name, and whether it is retired: a person
-- said so when it was at the offset at which it still is.
SELECT
    p.node,
    p.offset,
    p.watermark_ns,
    p.at_ns,
    p.regions,
    p.silent,
    p.lost,
    p.void,
    r.node != '' AND r.retired_at >= p.offset AS retired,
    if(retired, r.reason, '') AS reason
FROM
(
    SELECT node, offset, watermark_ns, at_ns, regions, silent, lost, void
    FROM progress
    ORDER BY node, published DESC
    LIMIT 1 BY node
) AS p
LEFT JOIN
(
    SELECT node, offset AS retired_at, reason
    FROM retirements
    ORDER BY node, offset DESC, at_ns DESC
    LIMIT 1 BY node
) AS r ON r.node = p.node
ORDER BY p.node
