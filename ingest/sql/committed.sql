-- committed: a node's word; no row if it has said nothing. Parameter: node.
SELECT published, offset, watermark_ns, regions, silent
FROM progress
WHERE node = {node:String}
ORDER BY published DESC
LIMIT 1
