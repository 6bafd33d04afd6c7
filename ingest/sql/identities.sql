-- identities: every event of one server in a span of its own time, with what it
-- says. Repeats and conflicts stay in; the order does not matter to the reader.
-- Parameters: server; from_ns and to_ns, Unix nanoseconds, both inclusive.
SELECT id, content
FROM event_log
WHERE server = {server:String} AND at_ns BETWEEN {from_ns:Int64} AND {to_ns:Int64}
