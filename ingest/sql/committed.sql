-- committed: the highest offset and watermark a node has published; zeros if none.
-- Parameter: node.
SELECT max(offset), max(watermark_ns)
FROM progress
WHERE node = {node:String}
