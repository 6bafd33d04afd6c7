package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// The first Ctrl-C is heard by the command, which may take its time; the second ends
// the process, whatever it does.
func TestSecondInterruptEnds(t *testing.T) {
	const child = "PFTEST_INTERRUPTED"
	if os.Getenv(child) != "" {
		ctx, stop := interruptible()
		defer stop()
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("heard")
		select {}
	}
	patience, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(patience, os.Args[0], "-test.run=^TestSecondInterruptEnds$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{"ready", "heard"} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("it says %q, want %q", lines.Text(), want)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGINT {
				t.Errorf("it ended otherwise: %v", err)
			}
			return
		case <-time.After(20 * time.Millisecond):
			// The second may have come while the first was taken. Not without a pause: of
			// many within microseconds one can meet the runtime as it gives the signal up,
			// which ends the process by a fault of its own.
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
}
