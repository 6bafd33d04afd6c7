-- committed: a node's word; no row if it has said nothing. Parameter: node.
SELECT published, at_ns, offset, watermark_ns, regions, silent, lost, void, unused, life
FROM progress
WHERE node = {node:String}
ORDER BY published DESC
LIMIT 1
