-- contents: what the merged log says stands at one offset of a node, in hex; empty
-- if nothing does. Parameters: node; offset.
SELECT groupUniqArray(hex(content))
FROM arrivals
WHERE node = {node:String} AND offset = {offset:UInt64}
