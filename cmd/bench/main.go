// Command bench measures an import and a settlement of real logs beside their
// floors, in one run, with the answers checked:
//
//	go run ./cmd/bench --logs DIR
//
// DIR holds .tar.xz archives of one server's logs and, for the check, answers.json.
// The floor of an import is unpacking the archives and finding their lines; that of
// a cut is its two inserts, each made durable, and the two reads that see them back.
// Wall times depend on what else the machine does: compare the ratios, and the
// CPU seconds of this process and the engine together.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"photofinish/cmd/clickhouse"
)

func main() {
	clickhouse.RunChildIfAsked()
	logs := flag.String("logs", "", "folder of .tar.xz archives, with answers.json")
	rulesFile := flag.String("rules", "configs/counter-strike.yaml", "rules file that answers.json is about")
	flag.Parse()
	if err := run(context.Background(), *logs, *rulesFile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, logs, rulesFile string) (err error) {
	archives, err := filepath.Glob(filepath.Join(logs, "*.tar.xz"))
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("no .tar.xz in --logs %q", logs)
	}
	dir, err := os.MkdirTemp("", "photofinish-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := clickhouse.Open(ctx, clickhouse.Config{Dir: dir, Progress: os.Stderr}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer server.Close()
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%s, %d cores, ClickHouse %s, load %.14s\n\n", runtime.Version(), runtime.NumCPU(), server.Version(), load)
	b := &bench{ctx: ctx, conn: server.Conn(), dir: dir, archives: archives}
	if err := b.readRules(rulesFile); err != nil {
		return err
	}
	for _, step := range []func() error{b.measureImport, b.measureSettle, b.measureEmptyCuts, b.checkAnswers(logs)} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
