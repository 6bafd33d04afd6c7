package ingest

import (
	"fmt"
	"strings"
)

// Limits of what an import reads.
const (
	MaxLineBytes    = 64 << 10 // of one line, without its end
	MaxMemberBytes  = 4 << 30  // of one file, unpacked
	MaxArchiveBytes = 16 << 30 // of one archive, and of the files in it, unpacked
	MaxInputFiles   = 1 << 20  // of one import, members of archives included
	MaxImportEvents = 1 << 24  // of one import; each takes about 120 bytes of memory until its end
	// MaxWindowBytes bounds the memory that one compressed file asks for.
	MaxWindowBytes = 128 << 20
)

// InputError says that an import could not read its input, and that therefore
// nothing of it was imported.
type InputError struct {
	Path   string // as it was given or found in a folder
	Member string // the file in the archive; empty: Path itself
	Err    error
}

// Error names path, member and reason, quoted where they are not plain.
func (e *InputError) Error() string {
	where := printable(e.Path)
	if e.Member != "" {
		where += ": " + printable(e.Member)
	}
	return fmt.Sprintf("%s: %v", where, e.Err)
}

// Unwrap returns the reason.
func (e *InputError) Unwrap() error { return e.Err }

// printable leaves ordinary names as they are.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '"' || r == 0xfffd }) {
		return quote(name)
	}
	return name
}

// Format is the language of an imported file.
type Format string

// The formats. FormatByName decides for each file: .ndjson and .jsonl are
// FormatNDJSON, everything else is FormatSourceLog.
const (
	FormatByName      Format = ""
	FormatSourceLog   Format = "source-log"
	FormatNDJSON      Format = "ndjson"
	FormatCloudEvents Format = "cloudevents"
)

// ParseFormat returns the format of that name; the empty text is FormatByName.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case FormatByName, FormatSourceLog, FormatNDJSON, FormatCloudEvents:
		return f, nil
	}
	return "", fmt.Errorf("format %s is not one of source-log, ndjson and cloudevents", quote(name))
}

// named returns the format in which a file found in a folder or archive is to be
// read; false means that it is not for this import.
func (f Format) named(base string) (Format, bool) {
	name := strings.ToLower(base)
	isLog := strings.HasSuffix(name, ".log")
	isLines := strings.HasSuffix(name, ".ndjson") || strings.HasSuffix(name, ".jsonl")
	switch f {
	case FormatSourceLog:
		return f, isLog
	case FormatNDJSON:
		return f, isLines
	case FormatCloudEvents:
		return f, isLines || strings.HasSuffix(name, ".json")
	}
	switch {
	case isLog:
		return FormatSourceLog, true
	case isLines:
		return FormatNDJSON, true
	}
	return "", false
}

// given returns the format of a file that was named itself, whatever its name.
func (f Format) given(base string) Format {
	if f != FormatByName {
		return f
	}
	if byName, ok := f.named(base); ok {
		return byName
	}
	return FormatSourceLog
}

// packing is how a file is packed, by its name.
type packing struct {
	base    string // the name without the endings
	squeeze string // "", "gzip", "xz" or "zstd"
	tar     bool
}

func packingOf(base string) packing {
	p := packing{base: base}
	for _, e := range []struct {
		ending, squeeze string
		tar             bool
	}{
		{".tgz", "gzip", true},
		{".txz", "xz", true},
		{".tzst", "zstd", true},
		{".gz", "gzip", false},
		{".xz", "xz", false},
		{".zst", "zstd", false},
	} {
		if cut, ok := cutEnding(base, e.ending); ok {
			p = packing{cut, e.squeeze, e.tar}
			break
		}
	}
	if cut, ok := cutEnding(p.base, ".tar"); ok && !p.tar {
		p.base, p.tar = cut, true
	}
	return p
}

// cutEnding is strings.CutSuffix, whatever the case; a name is never only an ending.
func cutEnding(name, ending string) (string, bool) {
	n := len(name) - len(ending)
	if n <= 0 || !strings.EqualFold(name[n:], ending) {
		return name, false
	}
	return name[:n], true
}
