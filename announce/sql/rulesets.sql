-- rulesets: the rules files of the digests.
SELECT digest, source
FROM rulesets
WHERE digest IN {digests:Array(String)}
ORDER BY digest, source
LIMIT 1 BY digest
