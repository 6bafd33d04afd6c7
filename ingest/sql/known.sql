-- known: the events of one server that the log holds of some, with what they say and
-- where they lie. Repeats and conflicts stay in; the order does not matter to the reader.
-- Parameters: server; ids.
SELECT id, content, node, offset
FROM identities
WHERE server = {server:String} AND id IN {ids:Array(String)}
