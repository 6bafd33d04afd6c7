package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"photofinish/ingest/mutate"
)

const fuzzHelp = `fuzz checks what reads bytes of strangers on millions of inputs: the properties that the
fuzz tests check, on texts that are nearly right. Each input follows from the seed and its
number alone, so that a run can go on where one ended:

  go run ./cmd/bench fuzz --runs 10000000
  go run ./cmd/bench fuzz --decoder events,spool --runs 10000000 --from 3200000 --jobs 2

What fails is named by its number, with the variables that repeat it alone in go test.
`

// decoders are what can be fuzzed, each with the package whose TestMutated does it.
func decoders() map[string]string {
	return map[string]string{
		"events": "ingest", "cloudevents": "ingest", "arrays": "ingest", "instants": "ingest", "records": "ingest", "source-line": "ingest",
		"keys": "ingest/keys", "spool": "ingest/spool", "http-events": "ingest/httpapi", "http-source-log": "ingest/httpapi",
	}
}

// fuzzPart is how many inputs a process checks, after which it is said how far a run came.
const fuzzPart = 20_000

// fuzzSays is how often that is said.
const fuzzSays = 5 * time.Second

func runFuzz(ctx context.Context, args []string) (err error) {
	names := slices.Sorted(maps.Keys(decoders()))
	f := flags("fuzz", fuzzHelp)
	decoder := f.String("decoder", "", "some of "+strings.Join(names, ", ")+"; empty: all, one after the other")
	z := &fuzz{built: map[string]string{}}
	f.Uint64Var(&z.runs, "runs", 1_000_000, "inputs of each")
	f.Uint64Var(&z.from, "from", 0, "number of the first input")
	f.Uint64Var(&z.seed, "seed", 1, "of the inputs")
	f.IntVar(&z.jobs, "jobs", runtime.NumCPU(), "processes at once")
	if err := f.Parse(args); err != nil {
		return err
	}
	if z.jobs < 1 || z.runs < 1 {
		return fmt.Errorf("--jobs %d --runs %d: give at least 1", z.jobs, z.runs)
	}
	if *decoder != "" {
		names = strings.Split(*decoder, ",")
	}
	if z.dir, err = os.MkdirTemp("", "photofinish-fuzz-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(z.dir)) }()
	for _, name := range names {
		folder, known := decoders()[name]
		if !known {
			return fmt.Errorf("--decoder %q: the names are %s", name, strings.Join(slices.Sorted(maps.Keys(decoders())), ", "))
		}
		if err := z.decoder(ctx, name, folder); err != nil {
			return err
		}
	}
	return nil
}

// fuzz is one run over some decoders.
type fuzz struct {
	dir              string
	runs, from, seed uint64
	jobs             int
	built            map[string]string // test programs by folder
}

// decoder checks all inputs of one decoder, in parts.
func (z *fuzz) decoder(ctx context.Context, name, folder string) error {
	program := z.built[folder]
	if program == "" {
		program = filepath.Join(z.dir, strings.ReplaceAll(folder, "/", "-")+".test")
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "photofinish/"+folder) //nolint:gosec // of our own
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the tests of %s: %w: %s", folder, err, out)
		}
		z.built[folder] = program
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type part struct {
		end  uint64
		done chan error
	}
	queue := make(chan part, z.jobs) // so many are under way, beside the one that is waited for
	began := time.Now()
	go func() {
		defer close(queue)
		slots := make(chan struct{}, z.jobs)
		for begin := z.from; begin < z.from+z.runs; begin += fuzzPart {
			n := min(fuzzPart, z.from+z.runs-begin)
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			p := part{begin + n, make(chan error, 1)}
			go func() {
				p.done <- z.part(ctx, program, name, begin, n)
				<-slots
			}()
			select {
			case queue <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	reached, said := z.from, began
	for p := range queue {
		if err := <-p.done; err != nil {
			return fmt.Errorf("%s: inputs %d to %d hold, then: %w", name, z.from, reached, err)
		}
		reached = p.end
		if reached < z.from+z.runs && time.Since(said) < fuzzSays {
			continue
		}
		said = time.Now()
		fmt.Printf("%-16s %12s inputs hold up to %s, %.1f µs each\n", name, grouped(reached-z.from), grouped(reached),
			float64(time.Since(began).Microseconds())/float64(reached-z.from))
	}
	if reached != z.from+z.runs {
		return fmt.Errorf("%s: it was stopped; go on with --decoder %[1]s --from %d: %w", name, reached, context.Cause(ctx))
	}
	return nil
}

// part checks some inputs in a process of its own.
func (z *fuzz) part(ctx context.Context, program, name string, from, runs uint64) error {
	cmd := exec.CommandContext(ctx, program, "-test.run", "^TestMutated$/^"+name+"$", "-test.v", "-test.timeout", "0") //nolint:gosec // of our own
	cmd.Dir = z.dir
	cmd.Env = append(os.Environ(), fmt.Sprint(mutate.Runs, "=", runs), fmt.Sprint(mutate.From, "=", from), fmt.Sprint(mutate.Seed, "=", z.seed))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	// A name that no test has would pass as well.
	if !strings.Contains(string(out), "--- PASS: TestMutated/"+name+" ") {
		return fmt.Errorf("no test of the name ran: %s", out)
	}
	return nil
}
