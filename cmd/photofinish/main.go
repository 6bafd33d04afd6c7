// Command photofinish decides fairly among servers that do not talk to each other:
// who was first, who got one of the last three, who tops the board. See README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"photofinish/cmd/clickhouse"
)

func main() {
	clickhouse.RunChildIfAsked()
	ctx, stop := interruptible()
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a, root := newApp(stdout, stderr) //nolint:contextcheck // each command gets its context from ExecuteContext
	a.args = args
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if text := explainError(err); text != "" {
		fmt.Fprintln(stderr, "photofinish: "+text)
	}
	return exitCode(err)
}
