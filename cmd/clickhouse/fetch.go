package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// fetchLimit bounds one run of npm, however slow the network is.
const fetchLimit = 30 * time.Minute

// ErrNoEngine says that the embedded engine is not here and cannot be fetched.
// Its message, with what wraps it, names the ways out.
var ErrNoEngine = errors.New("no ClickHouse engine")

// An enginePackage is a published build of the engine.
type enginePackage struct {
	name, version string
	// integrity is the digest of the tarball, as npm writes it: "sha512-" and
	// base64. Empty where none is pinned; then npm's own check must do.
	integrity string
	megabytes int // of the tarball, roughly
}

// spec is what npm calls the package.
func (p enginePackage) spec() string { return p.name + "@" + p.version }

// engineVersion is the pinned version of the engine's packages.
const engineVersion = "26.7.3-stable.1"

// enginePackages are the builds by GOOS/GOARCH. Linux builds need the GNU C library.
var enginePackages = map[string]enginePackage{
	"linux/amd64": {
		name: "@chdb/lib-linux-x64-gnu", version: engineVersion, megabytes: 178,
		integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
	},
	"linux/arm64":  {name: "@chdb/lib-linux-arm64-gnu", version: engineVersion, megabytes: 178},
	"darwin/amd64": {name: "@chdb/lib-darwin-x64", version: engineVersion, megabytes: 178},
	"darwin/arm64": {name: "@chdb/lib-darwin-arm64", version: engineVersion, megabytes: 178},
}

// findLibrary returns the path of the engine's library, fetching it if it is not
// in the user's cache, or is damaged there. Again says that the library it
// returned before did not work, so that it is read whole to see whether it is.
func findLibrary(ctx context.Context, cfg Config, dir string, again bool) (string, error) {
	if cfg.Library != "" {
		if _, err := os.Stat(cfg.Library); err != nil {
			return "", fmt.Errorf("clickhouse.library: %w", err)
		}
		if again {
			return "", fmt.Errorf("clickhouse.library: %s does not work: is it a libchdb.so for %s/%s?", cfg.Library, runtime.GOOS, runtime.GOARCH)
		}
		return filepath.Abs(cfg.Library)
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	pkg, ok := enginePackages[platform]
	if !ok {
		return "", fmt.Errorf("%w: it is not published for %s; give the address of a server by clickhouse.addrs", ErrNoEngine, platform)
	}
	l := libraryCache{pkg: pkg, dirs: cacheDirs(dir), progress: cfg.Progress}
	return l.find(ctx, again)
}

// cacheDirs lists where the library may be kept, best first: the user's cache,
// also where the environment does not name it, then the data folder. A folder for
// all users, like /tmp, would let another user plant a library.
func cacheDirs(dataDir string) []string {
	var dirs []string
	if dir, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(dir, "photofinish"))
	} else if u, err := user.Current(); err == nil && u.HomeDir != "" {
		dirs = append(dirs, filepath.Join(u.HomeDir, ".cache", "photofinish"))
	}
	return append(dirs, filepath.Join(dataDir, "clickhouse", "cache"))
}

// A libraryCache keeps the library of one package.
type libraryCache struct {
	pkg      enginePackage
	dirs     []string // where, best first
	progress io.Writer
}

// find returns the path of the library, fetching it if no folder has it whole.
// With verify the whole file is read to see whether it is.
func (l libraryCache) find(ctx context.Context, verify bool) (string, error) {
	var errs []error
	for _, dir := range l.dirs {
		dir = filepath.Join(dir, "clickhouse-"+l.pkg.version)
		if ok := checkStamp(dir, l.pkg, verify); ok {
			return filepath.Join(dir, libraryName), nil
		}
	}
	for _, dir := range l.dirs {
		dir = filepath.Join(dir, "clickhouse-"+l.pkg.version)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			errs = append(errs, err) // a home that cannot be written to: try the next
			continue
		}
		return l.fetchOnce(ctx, dir, verify)
	}
	return "", fmt.Errorf("%w: nowhere to keep it: %w", ErrNoEngine, errors.Join(errs...))
}

// fetchOnce fetches the library into dir unless another process just did. A crash
// leaves a temporary folder beside it, which the next fetch removes.
func (l libraryCache) fetchOnce(ctx context.Context, dir string, verify bool) (string, error) {
	lock, err := lockFile(ctx, filepath.Join(dir, "fetch.lock"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer lock.release()
	if checkStamp(dir, l.pkg, verify) {
		return filepath.Join(dir, libraryName), nil
	}
	left, _ := filepath.Glob(filepath.Join(dir, "fetch-*"))
	for _, path := range left {
		if filepath.Base(path) != "fetch.lock" {
			_ = os.RemoveAll(path)
		}
	}
	tmp, err := os.MkdirTemp(dir, "fetch-*")
	if err != nil {
		return "", fmt.Errorf("fetch the ClickHouse engine: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	damaged := isFile(filepath.Join(dir, libraryName)) && isFile(stampPath(dir))
	l.announce(dir, damaged)
	tarball, err := npmPack(ctx, l.pkg, tmp)
	if err == nil {
		err = install(tarball, tmp, dir, l.pkg)
	}
	if err != nil {
		if damaged {
			err = fmt.Errorf("the one in %s is damaged: %w", dir, err)
		}
		return "", noEngine(l.pkg, dir, err)
	}
	return filepath.Join(dir, libraryName), nil
}

// announce says what is about to take a while.
func (l libraryCache) announce(dir string, damaged bool) {
	switch {
	case l.progress == nil:
	case damaged:
		_, _ = fmt.Fprintf(l.progress, "the ClickHouse engine in %s is damaged: fetching it again, %d MB: %s\n", dir, l.pkg.megabytes, l.pkg.spec())
	default:
		_, _ = fmt.Fprintf(l.progress, "fetching the ClickHouse engine, %d MB, once: %s into %s\n", l.pkg.megabytes, l.pkg.spec(), dir)
	}
}

func isFile(path string) bool {
	stat, err := os.Stat(path)
	return err == nil && stat.Mode().IsRegular()
}

// noEngine names the ways out where the engine cannot be fetched.
func noEngine(pkg enginePackage, dir string, cause error) error {
	return fmt.Errorf("%w: %w; "+
		"(1) install npm and reach the network, or fetch it elsewhere by `npm pack %s` and unpack its %s; "+
		"(2) give the path of a %s by clickhouse.library or PHOTOFINISH_CLICKHOUSE_LIBRARY; "+
		"(3) give the address of a ClickHouse server by clickhouse.addrs (it would be kept in %s)",
		ErrNoEngine, cause, pkg.spec(), libraryName, libraryName, dir)
}

// npmPack fetches the package's tarball into dir and returns its path. Npm knows
// the registry, proxies and credentials of the user, and checks the integrity
// that the registry gives.
func npmPack(ctx context.Context, pkg enginePackage, dir string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", errors.New("npm, which fetches it, is not installed")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, fetchLimit, fmt.Errorf("npm took more than %v", fetchLimit))
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "pack", pkg.spec(), "--ignore-scripts", "--pack-destination", dir) // #nosec G204 -- pinned
	cmd.Dir = dir                                                                                           // not in the current folder, whose .npmrc is somebody else's
	cmd.WaitDelay = 5 * time.Second
	if os.Getenv("HOME") == "" {
		cmd.Env = append(os.Environ(), "HOME="+dir)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("npm pack: %w: %s", err, npmError(stderr.String()))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm pack left %d tarballs, want one", len(found))
	}
	return found[0], nil
}

// npmError picks from what npm printed the lines that say what is wrong, and puts
// them on one.
func npmError(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "npm error"); ok && len(lines) < 4 {
			if rest = strings.TrimSpace(rest); rest != "" && !strings.HasPrefix(rest, "A complete log") {
				lines = append(lines, rest)
			}
		}
	}
	return strings.Join(lines, ", ")
}
