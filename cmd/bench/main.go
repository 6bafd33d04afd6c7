// Command bench measures taking events in and settling them beside their floors, each in
// one run and with its answers checked, and holds the settler against random histories:
//
//	go run ./cmd/bench settle       # what a cut costs, whatever the history
//	go run ./cmd/bench histories    # settler, simulation and verify agree
//	go run ./cmd/bench logs         # real logs: import and settlement
//	go run ./cmd/bench ingest       # what it costs to take an event in
//	go run ./cmd/bench kills        # nothing acknowledged is lost, whatever is killed
//	go run ./cmd/bench flood        # who is refused, or slow, costs nobody else anything
//	go run ./cmd/bench fuzz         # what reads bytes of strangers, on millions of them
//
// Each says with -h what it takes. Wall times depend on what else the machine does:
// compare the ratios, the rows that the server read, and the CPU seconds of this
// process and the engine together.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"photofinish/cmd/clickhouse"
)

const help = `bench measures photofinish beside its floors and checks its answers.

  go run ./cmd/bench settle [--history N,N,…] [--only M5,M6,…] [--keep DIR]
  go run ./cmd/bench histories --from N --to M [--wild NAME] [--jobs J]
  go run ./cmd/bench logs --logs DIR [--rules FILE]
  go run ./cmd/bench ingest [--only decode,spool,…] [--logs DIR] [--behind SIZE]
  go run ./cmd/bench kills --cycles N [--seed S]
  go run ./cmd/bench flood [--length D] [--slow N] [--rate N]
  go run ./cmd/bench fuzz [--decoder NAME,NAME,…] [--runs N] [--from N]

Add -h to one of them for what it does.
`

func main() {
	clickhouse.RunChildIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"settle": runSettle, "histories": runHistories, "logs": runLogs, "ingest": runIngest, "kills": runKills, "flood": runFlood, "fuzz": runFuzz,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(os.Stderr, help)
		return flag.ErrHelp
	}
	return commands[args[0]](ctx, args[1:])
}

// flags returns an empty set of flags whose help begins with text.
func flags(name, text string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), text+"\n")
		f.PrintDefaults()
	}
	return f
}

// openEngine starts the embedded engine in dir and says what it runs on.
func openEngine(ctx context.Context, dir string) (*clickhouse.Server, error) {
	server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: dir, Progress: os.Stderr}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%s, %d cores, ClickHouse %s, load %.14s\n\n", runtime.Version(), runtime.NumCPU(), server.Version(), load)
	return server, nil
}
