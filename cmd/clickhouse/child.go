package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// childCommand is the hidden first argument that makes a binary the engine.
const childCommand = "clickhouse-child"

// stopLimit is how long the engine may take to stop before its process ends
// itself. That loses nothing: what was acknowledged is in files.
const stopLimit = 20 * time.Second

// RunChildIfAsked turns this process into the ClickHouse engine, and never
// returns, if the process was started to be that; otherwise it returns at once.
//
// A program that calls [Open] must call it first thing in main, before flags are
// parsed, and a test binary first thing in TestMain, since the engine is started
// by executing the same binary again.
//
// The engine ignores the signals that a terminal or a service manager sends to a
// whole group, and stops when the last user of its folder is gone: see the
// package comment.
func RunChildIfAsked() {
	if len(os.Args) != 4 || os.Args[1] != childCommand {
		return
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	f := folder{root: os.Args[2]}
	// A command that only looks whether an engine runs holds the lock for an
	// instant, so wait a little; a second engine must never run.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	self, err := lockFile(ctx, f.path("engine.lock"), syscall.LOCK_EX)
	cancel()
	if err == nil {
		err = runChild(f, os.Args[3])
	}
	code := 0
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	quit(code)
	runtime.KeepAlive(self) // the lock is freed by the end of the process alone
}

// quit ends the process without the destructors of the library, which has
// stopped: they have been seen to take seconds, or for ever.
func quit(code int) {
	var exit func(int32)
	purego.RegisterLibFunc(&exit, purego.RTLD_DEFAULT, "_exit")
	exit(int32(code))
}

// runChild runs the engine of a data folder until nobody uses it.
func runChild(f folder, library string) error {
	runtime.LockOSThread()
	lib, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load %s: %w", filepath.Base(library), err)
	}
	keyboard, err := openTerminal()
	if err != nil {
		return err
	}
	go stopWhenUnused(f, keyboard)
	if err := runEngine(lib, engineArgs(f)); err != nil {
		return err
	}
	return f.end()
}

// stopWhenUnused waits until no command uses the folder and then ends the
// engine's input, which makes it stop. It keeps the users' lock, so that whoever
// comes now waits for the end of this process.
func stopWhenUnused(f folder, keyboard io.Closer) {
	users, err := openLock(f.path("users.lock"))
	if err == nil {
		err = users.block(syscall.LOCK_EX)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = keyboard.Close()
	time.Sleep(stopLimit)
	fmt.Fprintln(os.Stderr, "the engine did not stop in time and is ended")
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	runtime.KeepAlive(users)
}

// engineArgs is the command line of the engine. It is interactive because only
// then does an unauthenticated, malformed connection get an error; otherwise the
// engine treats it as fatal and aborts.
func engineArgs(f folder) []string {
	return []string{
		"clickhouse",
		"--config-file=" + f.path("config.xml"),
		"--log-level=warning",
		"--interactive",
		"--query", "SYSTEM START LISTEN TCP",
	}
}

// openTerminal makes a pseudo terminal standard input and returns its other end:
// closing that is the end of the input. Nothing is ever typed on it. It asks the
// C library, already loaded for the engine, so that Linux and macOS are alike.
func openTerminal() (io.Closer, error) {
	var (
		posixOpenpt func(int32) int32
		grantpt     func(int32) int32
		unlockpt    func(int32) int32
		ptsname     func(int32) string
	)
	purego.RegisterLibFunc(&posixOpenpt, purego.RTLD_DEFAULT, "posix_openpt")
	purego.RegisterLibFunc(&grantpt, purego.RTLD_DEFAULT, "grantpt")
	purego.RegisterLibFunc(&unlockpt, purego.RTLD_DEFAULT, "unlockpt")
	purego.RegisterLibFunc(&ptsname, purego.RTLD_DEFAULT, "ptsname")

	fd := posixOpenpt(int32(syscall.O_RDWR | syscall.O_NOCTTY))
	if fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0 {
		return nil, errors.New("open a pseudo terminal for the engine: the system has none (is /dev/pts mounted?)")
	}
	keyboard := os.NewFile(uintptr(fd), "pty")
	name := ptsname(fd)
	tty, err := syscall.Open(name, syscall.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the engine's terminal %s: %w", name, err), keyboard.Close())
	}
	if err := moveToStdin(tty); err != nil {
		return nil, errors.Join(err, keyboard.Close())
	}
	return keyboard, nil
}

// moveToStdin makes fd the standard input. Standard input is closed first and the
// copy takes its number, being the lowest free one: dup2 does not exist on every
// platform, and no other goroutine opens a file at this point.
func moveToStdin(fd int) error {
	if err := syscall.Close(0); err != nil {
		return fmt.Errorf("close standard input: %w", err)
	}
	n, err := syscall.Dup(fd)
	if err != nil || n != 0 {
		return fmt.Errorf("make %d the standard input: got %d: %w", fd, n, err)
	}
	if err := syscall.Close(fd); err != nil {
		return fmt.Errorf("close the engine's terminal: %w", err)
	}
	return nil
}

// engineResult is the head of what query_stable_v2 returns: struct
// local_result_v2 of chdb.h.
type engineResult struct {
	_   [6]uint64 // buffer, its length and owner, elapsed, rows and bytes read
	err *byte     // C string, or nil
}

// runEngine runs the engine with a command line and returns when it has stopped.
func runEngine(lib uintptr, args []string) error {
	var (
		handleSignals func(int32)
		query         func(int32, unsafe.Pointer) *engineResult
	)
	purego.RegisterLibFunc(&handleSignals, lib, "chdb_set_signal_handlers_enabled")
	purego.RegisterLibFunc(&query, lib, "query_stable_v2")
	handleSignals(0) // they are Go's

	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]*byte, len(args)+1)
	for i, arg := range args {
		text, err := syscall.BytePtrFromString(arg)
		if err != nil {
			return fmt.Errorf("engine argument %q: %w", arg, err)
		}
		pin.Pin(text)
		argv[i] = text
	}
	result := query(int32(len(args)), unsafe.Pointer(&argv[0])) // #nosec G103 -- the C interface
	runtime.KeepAlive(argv)
	if result == nil {
		return errors.New("the engine returned nothing")
	}
	if result.err != nil {
		return errors.New(cString(result.err))
	}
	return nil
}

// cString copies a C string.
func cString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 { // #nosec G103 -- the C interface
		n++
	}
	return string(unsafe.Slice(p, n)) // #nosec G103 -- the C interface
}
