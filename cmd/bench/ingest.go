package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"

	"photofinish/cmd/clickhouse"
	"photofinish/settle/cost"
)

const ingestHelp = `ingest measures how events are taken in, beside what no way of doing it can do without.

  go run ./cmd/bench ingest [--only decode,spool,ack,…] [--logs DIR] [--behind SIZE]

decode   one event of JSON, beside encoding/json into a struct with a map
spool    the spool alone, beside a loop that writes the same bytes to a file that has
         its size already and syncs its data
ack      a node without ClickHouse: writers that wait for each answer, beside that loop
http     the same over HTTP, beside a handler of net/http that reads the bodies and no more
visible  a node in a process of its own, from the request to the log, beside sending the
         same requests, or all in one, to ClickHouse's own HTTP
forward  a node's spool into ClickHouse, beside inserting the same rows into the same
         three tables from the engine's own memory
catchup  a backlog that a node finds when it starts, beside forwarding what just came in
backlog  the memory of a node with a backlog of --behind, such as 10GB, beside one with a
         short backlog
import   real logs, beside unpacking them and finding their lines; --logs or
         PFTEST_CS_LOGS names a folder of .tar.xz archives, without it this is left out

What is compared runs in turns, ours first and last; a ratio is the median of those of
the turns. A wrong answer ends the run. A disk may say that it has synced what it has
not: compare ratios, and what is absolute with the same machine only.
`

// intake is a run of measures of how events are taken in, and how large they are.
type intake struct {
	report
	dir  string // for spools and the engine
	logs string // archives; empty: none

	binary string // photofinish, once somebody needed it

	intakeSizes
}

type intakeSizes struct {
	turns    int // of each that is compared
	decoded  int // events of a turn
	appends  int // of a turn of the spool, of appendEvents each
	acks     int // of a turn of one writer count
	visible  int // requests of a turn
	forwards int // events of a turn
	behind   int // bytes of a backlog
}

// appendEvents is how many events a game server sends at once: 14 kB or so.
const appendEvents = 125

func fullIntake() intakeSizes {
	return intakeSizes{turns: 5, decoded: 10_000, appends: 1000, acks: 20_000, visible: 1600, forwards: 200_000, behind: 256 << 20}
}

type intakeMeasure struct {
	name string
	run  func(context.Context, *intake) error
}

func intakeMeasures() []intakeMeasure {
	return []intakeMeasure{{"decode", measureDecode}, {"spool", measureSpool}, {"ack", measureAck}, {"http", measureHTTP}, {"visible", measureVisible}, {"forward", measureForward}, {"catchup", measureCatchUp}, {"backlog", measureBacklog}, {"import", measureIntakeOfLogs}}
}

func runIngest(ctx context.Context, args []string) (err error) {
	f := flags("ingest", ingestHelp)
	in := &intake{report: report{w: os.Stdout}, intakeSizes: fullIntake()}
	only := f.String("only", "", "names of what to measure; empty is everything")
	f.StringVar(&in.logs, "logs", os.Getenv("PFTEST_CS_LOGS"), "folder of .tar.xz archives of logs")
	f.Func("behind", "events of the long backlog, such as 256MB or 10GB; spooled they take a little more (default 256MB)", func(text string) error {
		return parseSize(text, &in.behind)
	})
	profile := f.String("profile", "", "file for a CPU profile of this process, floors and clients included; read it with go tool pprof")
	f.IntVar(&in.turns, "turns", in.turns, "how often each is run")
	if err := f.Parse(args); err != nil {
		return err
	}
	if in.turns < 1 {
		return fmt.Errorf("--turns %d: want at least 1", in.turns)
	}
	chosen := intakeMeasures()
	if *only != "" {
		names := strings.Split(*only, ",")
		chosen = slices.DeleteFunc(chosen, func(m intakeMeasure) bool { return !slices.Contains(names, m.name) })
		if len(chosen) != len(names) {
			return fmt.Errorf("--only %q: the names are decode, spool, ack, http, visible, forward, catchup, backlog and import", *only)
		}
	}
	if in.dir, err = os.MkdirTemp("", "photofinish-bench-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(in.dir)) }()
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for _, m := range chosen {
		if err := m.run(ctx, in); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	in.note("\nAll answers are right. %d figures are over their limit.", in.over)
	return nil
}

// parseSize reads 64MB or 10GB, of 1024 each.
func parseSize(text string, size *int) error {
	for shift, unit := range map[int]string{20: "MB", 30: "GB"} { // order free: they exclude each other
		number, found := strings.CutSuffix(text, unit)
		if n, err := strconv.Atoi(number); found && err == nil && n > 0 && n < 1<<20 {
			*size = n << shift
			return nil
		}
	}
	return fmt.Errorf("%q is no size such as 256MB or 10GB", text)
}

// photofinish returns the program, built once.
func (in *intake) photofinish(ctx context.Context) (_ string, err error) {
	if in.binary == "" {
		in.binary, err = build(ctx, in.dir)
	}
	return in.binary, err
}

// withEngine runs work beside an engine in a folder of its own.
func (in *intake) withEngine(ctx context.Context, name string, work func(*clickhouse.Server, meter) error) (err error) {
	server, err := openEngine(ctx, filepath.Join(in.dir, name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return work(server, meter{cost.Wrap(server.Conn())})
}

// measureIntakeOfLogs is an import of real logs.
func measureIntakeOfLogs(ctx context.Context, in *intake) error {
	if in.logs == "" {
		in.note("\nimport: left out, for want of --logs")
		return nil
	}
	archives, err := filepath.Glob(filepath.Join(in.logs, "*.tar.xz"))
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("no .tar.xz in --logs %q", in.logs)
	}
	in.note("\nimport  %d archives of real logs, and their forwarding, beside unpacking them and finding their lines", len(archives))
	return in.withEngine(ctx, "import", func(_ *clickhouse.Server, m meter) error {
		return (&logsBench{meter: m, ctx: ctx, dir: filepath.Join(in.dir, "import"), archives: archives}).measureImport()
	})
}
