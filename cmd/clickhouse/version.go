package clickhouse

// EngineVersion returns the version of the embedded engine's package.
func EngineVersion() string { return engineVersion }
