package sender

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxKeyBytes bounds what is read of a key file.
const maxKeyBytes = 4 << 10

// KeyFile returns a Config.Key that reads the key from a file each time, so that a new key
// is used as soon as it is there. A file that others than its owner may read is an error.
func KeyFile(path string) func() (string, error) {
	return func() (string, error) {
		f, err := os.Open(path) //nolint:gosec // the operator names the file
		if err != nil {
			return "", fmt.Errorf("key file: %w", err)
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			return "", fmt.Errorf("key file: %w", err)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return "", fmt.Errorf("key file %s can be used by others (mode %04o): chmod 600 %s, and replace the key if they may have read it", path, mode, path)
		}
		b, err := io.ReadAll(io.LimitReader(f, maxKeyBytes))
		if err != nil {
			return "", fmt.Errorf("key file: %w", err)
		}
		key := strings.TrimSpace(string(b))
		if !strings.HasPrefix(key, "pf_") || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", errors.New("key file " + path + " holds no key: one begins with pf_ and stands alone in the file")
		}
		return key, nil
	}
}
