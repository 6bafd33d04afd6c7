package ingest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
)

// In the hour that clocks show twice the lines of a log are in their order, not in that of
// their stamps; of two logs that begin in it neither is first.
func TestOrderOfAnHourThatOccursTwice(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	kill := `: "Ana<1><[U:1:1]><CT>" killed "Bo<2><[U:1:2]><T>" with "ak47"`
	events := func(stamps ...string) (list []rules.Event) {
		s := newSourceLog("a.log", berlin)
		for _, stamp := range stamps {
			e, _, _, err := s.next([]byte("L 10/25/2026 - " + stamp + kill))
			if err != nil || e == nil {
				t.Fatal(e, err)
			}
			list = append(list, *e)
		}
		return list
	}
	list := events("01:30:00", "02:50:00", "02:10:00", "03:00:00")
	for i, e := range list[1:] {
		if before := list[i]; before.At > e.At || before.Seq >= e.Seq {
			t.Errorf("line %d is at %v, %d, and the next at %v, %d", i+1, before.At, before.Seq, e.At, e.Seq)
		}
	}
	one, other := events("02:50:00", "03:00:00"), events("02:10:00")
	if one[0].At != other[0].At || one[0].Seq != 0 || other[0].Seq != 0 || one[1].Seq == 0 {
		t.Errorf("%+v\n%+v", one, other)
	}
}

func TestStamps(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	lordHowe, err := time.LoadLocation("Australia/Lord_Howe")
	if err != nil {
		t.Fatal(err)
	}
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line string
		zone *time.Location
		want string // time, error, rest; empty: not stamped
	}{
		{"L 02/14/2014 - 06:09:34: World", time.UTC, "2014-02-14T06:09:34Z 999999999 World"},
		{"L 02/14/2014 - 06:09:34: World", tokyo, "2014-02-13T21:09:34Z 999999999 World"},
		{"L 02/14/2014 - 06:09:34.125: World", time.UTC, "2014-02-14T06:09:34.125Z 999999 World"},
		{"L 02/14/2014 - 06:09:34.125 - World", time.UTC, "2014-02-14T06:09:34.125Z 999999 World"},
		{"02/14/2014 - 06:09:34.125 - World", time.UTC, "2014-02-14T06:09:34.125Z 999999 World"},
		{"L 02/14/2014 - 06:09:34: ", time.UTC, "2014-02-14T06:09:34Z 999999999 "},
		{"02/14/2014 - 06:09:34: World", time.UTC, ""},
		{"L 02/14/2014 - 06:09:34:", time.UTC, ""},
		{"L 02/14/2014 - 06:09:3x: World", time.UTC, ""},
		{"L 2/14/2014 - 06:09:34: World", time.UTC, ""},
		{" L 02/14/2014 - 06:09:34: World", time.UTC, ""},
		{"", time.UTC, ""},
		{"L ", time.UTC, ""},
		{"L 02/30/2014 - 06:09:34: World", time.UTC, "refused"},
		{"L 13/14/2014 - 06:09:34: World", time.UTC, "refused"},
		{"L 02/14/2014 - 24:09:34: World", time.UTC, "refused"},
		{"L 02/14/2014 - 06:60:34: World", time.UTC, "refused"},
		{"L 02/14/2014 - 06:09:60: World", time.UTC, "refused"},
		{"L 12/31/1999 - 23:59:59: World", time.UTC, "refused"},
		{"L 01/01/2000 - 00:00:00: World", time.UTC, "2000-01-01T00:00:00Z 999999999 World"},
		{"L 12/31/2199 - 23:59:59: World", time.UTC, "2199-12-31T23:59:59Z 999999999 World"},
		{"L 01/01/2200 - 00:00:00: World", time.UTC, "refused"},
		// When clocks are set back an hour is there twice, and a stamp in it names both.
		{"L 10/25/2026 - 02:30:00: World", berlin, "2026-10-25T00:00:00Z 5400999999999 World"},
		{"L 10/25/2026 - 03:00:00: World", berlin, "2026-10-25T02:00:00Z 999999999 World"},
		{"L 10/25/2026 - 02:00:00.000: World", berlin, "2026-10-25T00:00:00Z 3600000999999 World"},
		{"L 10/25/2026 - 02:59:59: World", berlin, "2026-10-25T00:00:00Z 7199999999999 World"},
		{"L 04/05/2026 - 01:45:00: World", lordHowe, "2026-04-04T14:30:00Z 2700999999999 World"},
		{"L 10/25/2026 - 01:59:59: World", berlin, "2026-10-24T23:59:59Z 999999999 World"},
		// When they are set forward an hour is not there at all.
		{"L 03/29/2026 - 01:59:59: World", berlin, "2026-03-29T00:59:59Z 999999999 World"},
		{"L 03/29/2026 - 02:00:00: World", berlin, "refused"},
		{"L 03/29/2026 - 02:30:00: World", berlin, "refused"},
		{"L 03/29/2026 - 02:59:59: World", berlin, "refused"},
		{"L 03/29/2026 - 03:00:00: World", berlin, "2026-03-29T01:00:00Z 999999999 World"},
		{"L 03/29/2026 - 02:30:00: World", time.UTC, "2026-03-29T02:30:00Z 999999999 World"},
		// A leap second is at the end of a UTC month. Clocks that do not know it repeat the
		// second before or have the one after: the stamp names both.
		{"L 12/31/2016 - 23:59:60: World", time.UTC, "2016-12-31T23:59:59Z 1999999999 World"},
		{"L 12/31/2016 - 23:59:60.250: World", time.UTC, "2016-12-31T23:59:59.25Z 1000999999 World"},
		{"L 07/01/2015 - 01:59:60: World", berlin, "2015-06-30T23:59:59Z 1999999999 World"},
		{"L 12/31/2016 - 23:59:61: World", time.UTC, "refused"},
		{"L 12/31/2016 - 22:59:60: World", time.UTC, "refused"},
		{"L 12/30/2016 - 23:59:60: World", time.UTC, "refused"},
		{"L 12/31/2016 - 23:59:60: World", berlin, "refused"},
		{"L 12/31/2199 - 23:59:60: World", time.UTC, "refused"},
	} {
		got := ""
		if l := readSourceLine([]byte(c.line)); l.stamped {
			at, openNs, err := l.at.instant(c.zone)
			if got = fmt.Sprintf("%v %d %s", at, openNs, l.rest); err != nil {
				got = "refused"
			}
		}
		if got != c.want {
			t.Errorf("%q in %s: got %q, want %q", c.line, c.zone, got, c.want)
		}
	}
}

// show writes what a log gave, one line for each of its lines.
func show(base string, zone *time.Location, log []byte) string {
	var b strings.Builder
	s := newSourceLog(base, zone)
	for i, line := range bytes.Split(bytes.TrimSuffix(log, []byte("\n")), []byte("\n")) {
		e, openNs, kind, err := s.next(bytes.TrimSuffix(line, []byte("\r")))
		switch {
		case err != nil:
			fmt.Fprintf(&b, "%d refused: %v\n", i+1, err)
		case e == nil:
			fmt.Fprintf(&b, "%d skipped: %s\n", i+1, kind)
		default:
			fmt.Fprintf(&b, "%d %s %s at %v + %d seq %d|%d player %q", i+1, e.Type, e.ID, e.At, openNs, e.Seq>>seqLineBits, e.Seq&(1<<seqLineBits-1), e.Player)
			if e.Type == rules.TypeKill {
				fmt.Fprintf(&b, " target %q", e.Target)
			} else {
				fmt.Fprintf(&b, " sku %q", e.SKU)
			}
			for _, name := range slices.Sorted(maps.Keys(e.Attrs)) {
				fmt.Fprintf(&b, " %s=%q", name, e.Attrs[name])
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func TestArenaLog(t *testing.T) {
	log, err := os.ReadFile(filepath.Join("testdata", "arena_001.log"))
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "arena_001.golden")
	got := show("arena_001.log", time.UTC, log)
	if os.Getenv("PFTEST_UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	crlf := bytes.ReplaceAll(log, []byte("\n"), []byte("\r\n"))
	if again := show("arena_001.log", time.UTC, crlf); again != got {
		t.Errorf("CRLF changes the result:\n%s", again)
	}
}

func TestSeqOrdersLinesAcrossFiles(t *testing.T) {
	var last uint64
	for _, file := range []string{
		"L 02/14/2014 - 06:09:34: x\nL 02/14/2014 - 06:09:40: \"a<1><S:1><CT>\" purchased \"m4\"\nL 02/14/2014 - 06:10:00: \"a<1><S:1><CT>\" purchased \"m4\"\n",
		"L 02/14/2014 - 06:10:00: \"a<1><S:1><CT>\" purchased \"m4\"\nL 02/14/2014 - 06:10:00: \"a<1><S:1><CT>\" purchased \"m4\"\n",
	} {
		s := newSourceLog("f.log", time.UTC)
		for line := range bytes.Lines([]byte(file)) {
			e, _, _, err := s.next(bytes.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			if e == nil {
				continue
			}
			if e.Seq <= last {
				t.Errorf("seq %d after %d", e.Seq, last)
			}
			last = e.Seq
		}
	}
}

func TestBytesThatAreNotUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"é€😀":                  "é€😀",
		"a\xffb":               "a\ufffdb",
		"\xff\xff":             "\ufffd\ufffd",
		"\xe2\x82":             "\ufffd",             // the beginning of €
		"\xe2\x82x":            "\ufffdx",            //
		"\xe2\x82\xe2\x82\xac": "\ufffd€",            //
		"\xf0\x9f\x98":         "\ufffd",             //
		"\xf0\x80\x80":         "\ufffd\ufffd\ufffd", // too long a form: no byte continues it
		"\xed\xa0\x80":         "\ufffd\ufffd\ufffd", // a surrogate
		"\xc0\xaf":             "\ufffd\ufffd",
		"\xf4\x90\x80\x80":     "\ufffd\ufffd\ufffd\ufffd",
		"\x80":                 "\ufffd",
	} {
		if got := text([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
