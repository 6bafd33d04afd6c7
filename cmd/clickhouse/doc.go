// Package clickhouse gives every command its connection to ClickHouse: to a
// server whose address is configured, or else to an embedded one that it
// fetches, starts, shares between commands and stops by itself.
//
// # The embedded engine
//
// The engine is the real ClickHouse, built as a library (libchdb). It runs in a
// child process, which is the same binary executed again (see
// [RunChildIfAsked]), because it claims its whole process: threads, allocator,
// working directory. The child opens a native TCP listener on a free port of
// 127.0.0.1, with a user and a password that are new for each start.
//
// A data folder holds:
//
//	DIR/version                  the format of everything in DIR: 1
//	DIR/clickhouse/data/         the tables
//	DIR/clickhouse/engine.json   address, user, password and process (mode 0600)
//	DIR/clickhouse/config.xml    written anew for each start, like users.xml (0600)
//	DIR/clickhouse/engine.log    what the engine logs, warnings and up
//	DIR/clickhouse/engine.out    what the last start printed
//	DIR/clickhouse/*.lock        the locks below; their content means nothing
//
// # Who starts it, who stops it
//
// Nobody owns the engine; it lives as long as somebody uses it. Three locks
// (flock, so that the kernel frees them however a process ends) decide all:
//
//   - start.lock, exclusive, is held while a command joins, starts or leaves.
//     Two commands that start at once take turns: the second finds the engine.
//   - users.lock is held shared by every open [Server]. The child waits for it
//     exclusively, and that it gets it means that nobody is left: it stops, and
//     keeps the lock until it is gone. So whoever holds it shared has an engine
//     that will not stop, and whoever waits for it outlasts a stopping one.
//   - engine.lock, exclusive, is held by the child for its whole life. Free
//     means that no engine runs, whatever engine.json says.
//
// Hence a command that ends, well or by kill -9, never takes the engine from
// another; the last one to end stops it; and an engine that dies (kill -9, out of
// memory) is started again by the next connection that any user dials, with the
// same password. The alternative, an owner on which the others depend, would make
// serve fail because the report that happened to start first was done.
//
// A kill -9 of either side loses no acknowledged insert. A power cut can; see the
// tables' fsync settings and the spool for what is done about that.
//
// # What is checked
//
// [Open] refuses a server that is too old or whose settings would change an
// outcome or lose a row (see settings.go), and a data folder of a newer format.
package clickhouse
