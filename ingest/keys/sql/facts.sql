-- facts: all that was recorded about keys. Of two facts of one kind about one key
-- the first counts.
SELECT
    id,
    revoked,
    server,
    region,
    timezone,
    role,
    hash,
    at_ns
FROM api_keys
ORDER BY id, revoked, at_ns, hash
