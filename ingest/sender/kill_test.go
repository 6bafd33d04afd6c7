package sender

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
)

// killEnv makes this test binary a game server that keeps events in the folder that it
// names, and prints the id of each that was accepted.
const killEnv = "PFTEST_SENDER"

func TestMain(m *testing.M) {
	dir := os.Getenv(killEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := Open(Config{
		Dir: dir, Nodes: []string{"http://127.0.0.1:1"}, SegmentBytes: 1 << 20,
		Key: func() (string, error) { return "pf_test", nil },
	}, (&logs{}).logger())
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	for range 4 {
		go func() {
			for {
				e := kill("")
				if err := s.Accept(context.Background(), e); err != nil {
					fmt.Println("failed", err)
					os.Exit(1)
				}
				fmt.Println(e.ID) // one write: whole or not at all
			}
		}()
	}
	select {}
}

// What a process said it had accepted before kill -9 is sent by the next one, and by one
// after that if it is killed as well.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	var accepted []string
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 100 {
				_ = cmd.Process.Kill()
			}
			if strings.HasPrefix(lines.Text(), "failed") {
				t.Fatal(lines.Text())
			}
			accepted = append(accepted, lines.Text())
		}
		_ = cmd.Wait() // it was killed
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		s, _ := open(t, w.config(dir))
		run(t, s, linger)
		if len(accepted) < 300 {
			t.Errorf("only %d were accepted", len(accepted))
		}
		seqs := map[uint64]bool{}
		for _, r := range w.requests("one") {
			for _, l := range r.lines {
				if l.Seq != 0 && seqs[l.Seq] {
					t.Errorf("seq %d was given twice", l.Seq)
				}
				seqs[l.Seq] = true
			}
		}
		for _, id := range accepted {
			if w.nodes["one"].taken[id] == "" {
				t.Errorf("%s was accepted and not sent", id)
			}
		}
	})
}
