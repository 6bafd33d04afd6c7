package ingest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"photofinish/rules"
)

func put(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func arena(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/arena_001.log")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const arenaEvents = 9 // in arena_001.log

// arena2 is the other file in arena.tar.xz.
const arena2 = `L 03/09/2026 - 21:30:00: "Bo<2><STEAM_1:0:12><CT>" purchased "awp"
L 03/09/2026 - 21:30:00: "Bo<2><STEAM_1:0:12><CT>" purchased "deagle"
`

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zst(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

func tarOf(t testing.TB, nameThenContent ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(nameThenContent); i += 2 {
		name, content := nameThenContent[i], nameThenContent[i+1]
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content))})
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func importNow(t testing.TB, n *Node, paths ...string) Summary {
	t.Helper()
	s, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	forwardNow(t, n)
	return s
}

func TestImportTwiceIsOnceHoweverItIsPacked(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	dir := t.TempDir()
	one := arena(t)
	var last Progress
	s, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Paths: []string{"testdata/arena.tar.xz"}, Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	forwardNow(t, n)
	if s.Files != 2 || s.FilesSkipped != 1 || s.Lines != 27 || s.Accepted != arenaEvents+2 || s.Offset != arenaEvents+2 || s.Duplicates != 0 {
		t.Errorf("%+v", s)
	}
	if last.Bytes != last.TotalBytes || last.Files != 2 || last.Lines != 27 {
		t.Errorf("progress ended at %+v", last)
	}
	if s.First.String() != "2026-03-09T21:00:05Z" || s.Last.String() != "2026-03-09T21:30:00Z" {
		t.Errorf("from %v to %v", s.First, s.Last)
	}
	if len(s.Refused) != 3 || s.Refused[0].Reason != "at is not a time in the zone UTC" || !strings.HasPrefix(s.Refused[0].Example, "testdata/arena.tar.xz:logs/arena_001.log:21: ") {
		t.Errorf("refused %+v", s.Refused)
	}
	if o, w, l := published(t, conn, "n1"); o != s.Offset || w != "21:30:00" || l != "eu 21:30:00;" {
		t.Errorf("published %d, %s, %v", o, w, l)
	}
	for i, path := range []string{
		"testdata/arena.tar.xz",
		put(t, filepath.Join(dir, "1/arena_001.log"), one),
		put(t, filepath.Join(dir, "2/arena_001.log.gz"), gz(t, one)),
		put(t, filepath.Join(dir, "3/arena_001.log.zst"), zst(t, one)),
		put(t, filepath.Join(dir, "4/a.tgz"), gz(t, tarOf(t, "x/arena_001.log", string(one), "arena_002.log", arena2))),
		put(t, filepath.Join(dir, "5/a.tar"), tarOf(t, "arena_001.log.gz", string(gz(t, one)))),
		put(t, filepath.Join(dir, "6/a.TAR.ZST"), zst(t, tarOf(t, "arena_001.log", string(one)))),
		filepath.Join(dir, "1"),
		dir,
	} {
		s := importNow(t, n, path)
		if s.Accepted != 0 || s.Duplicates < arenaEvents || s.Conflicts != 0 || s.Offset != arenaEvents+2 {
			t.Errorf("import %d of %s: %+v", i, path, s)
		}
	}
	// Another server's file of the same name, and another node.
	if s, err := n.Import(t.Context(), ImportOptions{Server: "other", Region: "eu", Paths: []string{filepath.Join(dir, "1")}}); err != nil || s.Accepted != arenaEvents {
		t.Errorf("another server: %+v, %v", s, err)
	}
	n2, _ := openNode(t, conn, Config{Node: "n2"})
	if s := importNow(t, n2, "testdata/arena.tar.xz"); s.Accepted != 0 || s.Duplicates != arenaEvents+2 {
		t.Errorf("another node: %+v", s)
	}
}

// The offsets follow the archive, and nothing else does: neither what the events are
// nor the order that their seqs tell.
func TestImportOfAnArchiveInAnyOrder(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	one := string(arena(t))
	read := func(node string, archive []byte) (byOffset, bySeq string) {
		n, _ := openNode(t, conn, Config{Node: node})
		path := put(t, filepath.Join(dir, node+".tar"), archive)
		if _, err := n.Import(t.Context(), ImportOptions{Server: node, Region: "eu", Paths: []string{path}}); err != nil {
			t.Fatal(err)
		}
		forwardNow(t, n)
		for _, c := range []struct {
			order string
			to    *string
		}{{"offset", &byOffset}, {"seq", &bySeq}} {
			var rows []string
			if err := conn.QueryRow(t.Context(), "SELECT groupArray(row) FROM (SELECT concat(id, ' ', toString(seq), ' ', toString(at_ns), ' ', toString(latest_ns), ' ', player) AS row FROM event_log WHERE node = $1 ORDER BY "+c.order+")", node).Scan(&rows); err != nil {
				t.Fatal(err)
			}
			*c.to = strings.Join(rows, "\n")
		}
		return byOffset, bySeq
	}
	aOffset, a := read("a", tarOf(t, "z/arena_001.log", one, "a/arena_002.log", arena2))
	bOffset, b := read("b", tarOf(t, "a/arena_002.log", arena2, "z/arena_001.log", one))
	if a != b || strings.Count(a, "\n") != arenaEvents+1 || aOffset != a {
		t.Errorf("by seq\n%s\nand\n%s", a, b)
	}
	if !strings.HasPrefix(bOffset, "arena_002.log@") {
		t.Errorf("by offset, the archive begins with arena_002.log:\n%s", bOffset)
	}
}

func TestBadInputLeavesNothing(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	dir := t.TempDir()
	one := arena(t)
	good := put(t, filepath.Join(dir, "arena_001.log"), one)
	xz, err := os.ReadFile("testdata/arena.tar.xz")
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(xz)
	flipped[len(flipped)/2] ^= 0x10
	half := tarOf(t, "a.log", string(one), "b.log", arena2)
	changed := bytes.Replace(one, []byte("Ana"), []byte("Eva"), 1)
	random := make([]byte, 5000)
	for i, r := 0, newRand(3); i < len(random); i++ {
		random[i] = byte(r.IntN(256))
	}
	for name, paths := range map[string][]string{
		"missing":             {good, filepath.Join(dir, "nothing-here")},
		"nothing named":       {},
		"cut xz":              {good, put(t, filepath.Join(dir, "cut.tar.xz"), xz[:len(xz)-5])},
		"cut xz early":        {good, put(t, filepath.Join(dir, "cut2.tar.xz"), xz[:len(xz)/2])},
		"flipped xz":          {good, put(t, filepath.Join(dir, "flip.tar.xz"), flipped)},
		"empty xz":            {good, put(t, filepath.Join(dir, "empty.log.xz"), nil)},
		"cut gzip":            {good, put(t, filepath.Join(dir, "cut.log.gz"), gz(t, one)[:200])},
		"cut zstd":            {good, put(t, filepath.Join(dir, "cut.log.zst"), zst(t, one)[:200])},
		"cut tar":             {good, put(t, filepath.Join(dir, "cut.tar"), half[:len(half)/3])},
		"not what it says":    {good, put(t, filepath.Join(dir, "plain.log.gz"), one)},
		"more than it says":   {good, put(t, filepath.Join(dir, "packed.log"), gz(t, one))},
		"binary rubbish":      {good, put(t, filepath.Join(dir, "rubbish.log"), random)},
		"text without stamps": {good, put(t, filepath.Join(dir, "poem.log"), []byte("roses\nviolets\n"))},
		"rubbish in archive":  {put(t, filepath.Join(dir, "r.tar"), tarOf(t, "a.log", string(one), "b.log", "\x00\x01\n"))},
		"two of one name":     {good, put(t, filepath.Join(dir, "again/arena_001.log"), changed)},
	} {
		s, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Format: FormatByName, Paths: paths})
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%s: %+v, %v", name, s, err)
			continue
		}
		if len(paths) > 0 && input.Path != paths[len(paths)-1] && !strings.HasPrefix(err.Error(), "import: "+dir) {
			t.Errorf("%s: the error names %q: %v", name, input.Path, err)
		}
		if n.spool.Last() != 0 {
			t.Fatalf("%s: something was imported", name)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(n.cfg.folder(), "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// And after all that it still works.
	if s := importNow(t, n, good); s.Accepted != arenaEvents {
		t.Errorf("%+v", s)
	}
}

func TestImportStoppedAtEveryStep(t *testing.T) {
	for step, want := range map[string]uint64{"import.staged": 0, "import.committed": arenaEvents + 2} {
		conn := newLog(t)
		dir := t.TempDir()
		n, _ := openNode(t, conn, Config{Dir: dir, Stop: func(s string) error {
			if s == step {
				return errStopped
			}
			return nil
		}})
		_, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Paths: []string{"testdata/arena.tar.xz"}})
		if !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
		_ = n.spool.Close()
		n, _ = openNode(t, conn, Config{Dir: dir})
		if n.spool.Last() != want {
			t.Errorf("%s: %d events spooled", step, n.spool.Last())
		}
		s := importNow(t, n, "testdata/arena.tar.xz")
		if s.Accepted+s.Duplicates != arenaEvents+2 {
			t.Errorf("%s: %+v", step, s)
		}
		wantLogged(t, conn, arenaEvents+2, arenaEvents+2)
		if _, w, _ := published(t, conn, "n1"); w != "21:30:00" {
			t.Errorf("%s: watermark %s", step, w)
		}
	}
}

func TestImportGrownFileAddsTheRest(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	path := filepath.Join(t.TempDir(), "live.log")
	lines := strings.SplitAfter(arena2, "\n")
	put(t, path, []byte(lines[0]))
	if s := importNow(t, n, path); s.Accepted != 1 {
		t.Fatalf("%+v", s)
	}
	// Of the second line all but its end is written, and then some of a third.
	put(t, path, []byte(strings.TrimSuffix(arena2, "\n")))
	if s := importNow(t, n, path); s.Accepted != 0 || s.Duplicates != 1 || s.Lines != 2 || !reflect.DeepEqual(s.Skipped, []Skipped{{"unfinished", 1}}) {
		t.Fatalf("%+v", s)
	}
	put(t, path, []byte(arena2+lines[0][:40]))
	if s := importNow(t, n, path); s.Accepted != 1 || s.Duplicates != 1 || s.Lines != 3 || len(s.Refused) != 0 {
		t.Fatalf("%+v", s)
	}
	put(t, path, []byte(strings.Replace(arena2, "deagle", "m4a1", 1)))
	s := importNow(t, n, path)
	if s.Accepted != 1 || s.Duplicates != 1 || s.Conflicts != 1 || s.Conflict != path+":2" {
		t.Fatalf("%+v", s)
	}
	wantLogged(t, conn, 2, 3)
}

// Servers give the names of their logs again every year: two files of one name are
// two, imported one by one or together.
func TestImportSameNameNextYear(t *testing.T) {
	n, _ := openNode(t, newLog(t), Config{})
	dir := t.TempDir()
	next := strings.ReplaceAll(arena2, "03/09/2026", "03/09/2027")
	one := put(t, filepath.Join(dir, "2026/L0309001.log"), []byte(arena2))
	two := put(t, filepath.Join(dir, "2027/L0309001.log"), []byte(next))
	for _, path := range []string{two, one} {
		if s := importNow(t, n, path); s.Accepted != 2 || s.Duplicates+s.Conflicts != 0 {
			t.Errorf("%s: %+v", path, s)
		}
	}
	if s := importNow(t, n, one, two); s.Accepted+s.Conflicts != 0 || s.Duplicates != 4 {
		t.Errorf("%+v", s)
	}
	s, err := n.Import(t.Context(), ImportOptions{Server: "other", Region: "eu", Paths: []string{dir}})
	if err != nil || s.Accepted != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Of one log there may be several copies in an import, some of which have grown: in any
// order the same events. A copy that says something else is refused, in any order.
func TestImportCopiesOfALog(t *testing.T) {
	conn := newLog(t)
	dir := t.TempDir()
	all := string(arena(t))
	lines := strings.SplitAfter(all, "\n")
	log := func(name, text string) string { return put(t, filepath.Join(dir, name, "arena_001.log"), []byte(text)) }
	whole, short, torn := log("whole", all), log("short", strings.Join(lines[:11], "")), log("torn", all[:len(all)-20])
	renamed := log("renamed", strings.Replace(all, "Ana", "Eva", 1)) // in a line that is no event
	without := log("without", strings.Join(slices.Concat(lines[:9], lines[10:]), ""))
	silent := log("silent", strings.Join(lines[:9], "")+strings.Repeat(lines[10], 20))
	for i, c := range []struct {
		paths []string
		taken bool
	}{
		{[]string{whole, short, torn}, true},
		{[]string{torn, short, whole}, true},
		{[]string{short, whole, short}, true},
		{[]string{whole, renamed}, false},
		{[]string{renamed, whole}, false},
		{[]string{short, without}, false},
		{[]string{without, short}, false},
		{[]string{whole, silent}, false},
		{[]string{silent, whole}, false},
	} {
		server := fmt.Sprint("s", i)
		n, _ := openNode(t, conn, Config{Node: server})
		s, err := n.Import(t.Context(), ImportOptions{Server: server, Region: "eu", Paths: c.paths})
		if _, input := errors.AsType[*InputError](err); input == c.taken || c.taken && (err != nil || s.Accepted != arenaEvents || s.Conflicts != 0) {
			t.Errorf("%d: %+v, %v", i, s, err)
		}
		if !c.taken && n.spool.Last() != 0 {
			t.Errorf("%d: something was imported", i)
		}
	}
}

func TestImportLongLinesAndHostileText(t *testing.T) {
	n, _ := openNode(t, newLog(t), Config{})
	stamp := "L 03/09/2026 - 21:30:00: "
	log := stamp + `"` + strings.Repeat("x", MaxLineBytes) + "\n" +
		stamp + `"` + strings.Repeat("n", 300) + `<2><BOT><CT>" purchased "awp"` + "\n" +
		stamp + `"esc` + "\x1b" + `[31m<2><BOT><CT>" purchased "awp"` + "\n" +
		stamp + `"<2><><CT>" purchased "awp"` + "\n" +
		stamp + `"Ana<2><S:1><CT>" purchased "awp"` + "\n"
	s := importNow(t, n, put(t, filepath.Join(t.TempDir(), "hostile.log"), []byte(log)))
	if s.Lines != 5 || s.Accepted != 1 || len(s.Refused) != 4 {
		t.Fatalf("%+v", s)
	}
	for i, want := range []string{"line is longer than 65536 bytes", "player has a control character", "player is longer than 256 bytes", "player is missing"} {
		if r := s.Refused[i]; r.Reason != want || r.Count != 1 || strings.ContainsRune(r.Example, 0x1b) || len(r.Example) > 500 {
			t.Errorf("refused %d: %+v", i, r)
		}
	}
	var id string
	if err := n.conn.QueryRow(t.Context(), "SELECT id FROM event_log").Scan(&id); err != nil || !strings.HasPrefix(id, "hostile.log@20260309T213000-") || !strings.HasSuffix(id, ":5") {
		t.Errorf("id %q, %v: the long line must be counted", id, err)
	}
}

// A line that is refused like one before costs no more than reading it: files may hold
// millions of them.
func TestRefusedLinesAreNotFormatted(t *testing.T) {
	rd := &reading{server: "s", region: "r", zone: time.UTC}
	forged := "L 02/14/2014 - 06:09:34: \"Eve<5><S><CT>\" say \"x<1><S><T>\" purchased \"awp\"\n"
	for name, line := range map[string]string{"no stamp": "x\n", "words": forged} {
		cost := func(count int) float64 {
			file := forged + strings.Repeat(line, count)
			return testing.AllocsPerRun(3, func() {
				if err := rd.read("f", "f", FormatSourceLog, strings.NewReader(file), func(*part) error { return nil }); err != nil {
					t.Fatal(err)
				}
			})
		}
		if few, many := cost(10), cost(1010); many-few > 10 {
			t.Errorf("%s: %v allocations for 1000 lines more", name, many-few)
		}
	}
}

func TestImportNDJSONAndCloudEvents(t *testing.T) {
	conn := newLog(t)
	n, _ := openNode(t, conn, Config{})
	dir := t.TempDir()
	lines := `{"id":"1","type":"kill","at":"2014-02-14T07:00:00.5Z","player":"p","target":"rabbit"}

{"id":"2","type":"kill","at":"2014-02-14T07:00:01Z","player":"p","nonsense":1}
{"id":"3","type":"heartbeat","at":"2014-02-14T08:00:00Z"}
`
	s := importNow(t, n, put(t, filepath.Join(dir, "a.ndjson"), []byte(lines)))
	if s.Accepted != 1 || s.Heartbeats != 1 || len(s.Refused) != 1 || s.Refused[0].Reason != "the field is not known" || !strings.Contains(s.Refused[0].Example, `"nonsense"`) {
		t.Fatalf("%+v", s)
	}
	one := `{"specversion":"1.0","id":"1","source":"arena","type":"game.kill","time":"2014-02-14T07:00:00.5Z","data":{"player":"p","target":"rabbit"}}`
	two := strings.Replace(one, `"id":"1"`, `"id":"2","sequence":"17"`, 1)
	foreign := strings.Replace(one, `"arena"`, `"other"`, 1)
	for i, c := range []struct {
		file     string
		accepted int
	}{{"[" + one + ",\n" + two + ", " + foreign + "]\n", 1}, {one + "\n" + two + "\n" + foreign, 0}} {
		path := put(t, filepath.Join(dir, fmt.Sprint(i, ".json")), []byte(c.file))
		s, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Format: FormatCloudEvents, Paths: []string{path}})
		if err != nil || s.Accepted != c.accepted || s.Accepted+s.Duplicates != 2 || len(s.Refused) != 1 || s.Lines != 3 {
			t.Errorf("%d: %+v, %v", i, s, err)
		}
		forwardNow(t, n)
	}
	long := put(t, filepath.Join(dir, "long.json"), []byte("["+one+`,"`+strings.Repeat("x", MaxLineBytes)+`",`+two+"]"))
	s, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Format: FormatCloudEvents, Paths: []string{long}})
	if err != nil || s.Duplicates != 2 || s.Lines != 3 || len(s.Refused) != 1 || s.Refused[0].Reason != "line is longer than 65536 bytes" || len(s.Refused[0].Example) > 500 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"[" + one, "[" + one + "] x"} {
		path := put(t, filepath.Join(dir, "bad.json"), []byte(bad))
		_, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Format: FormatCloudEvents, Paths: []string{path}})
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%.60s: %v", bad, err)
		}
	}
}

func TestImportZoneAndClockError(t *testing.T) {
	n, _ := openNode(t, newLog(t), Config{})
	zone := time.FixedZone("", 3600)
	path := put(t, filepath.Join(t.TempDir(), "a.log"), []byte(arena2))
	s, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Paths: []string{path}, Location: zone, ClockErr: 2 * time.Second})
	if err != nil || s.First.String() != "2026-03-09T20:30:00Z" {
		t.Fatalf("%+v, %v", s, err)
	}
	forwardNow(t, n)
	var before, after []int64
	err = n.conn.QueryRow(t.Context(), "SELECT groupUniqArray(at_ns - earliest_ns), groupUniqArray(latest_ns - at_ns) FROM event_log").Scan(&before, &after)
	if err != nil || !reflect.DeepEqual(before, []int64{2_000_000_000}) || !reflect.DeepEqual(after, []int64{2_999_999_999}) {
		t.Errorf("%v, %v, %v", before, after, err)
	}
	if _, w, _ := published(t, n.conn, "n1"); w != "20:29:58" {
		t.Errorf("watermark %s", w)
	}
	until := rules.Instant(noon.Add(-time.Minute).UnixNano())
	if _, err := n.Import(t.Context(), ImportOptions{Server: "arena", Region: "eu", Paths: []string{path}, Location: zone, Until: until}); err != nil {
		t.Fatal(err)
	}
	forwardNow(t, n)
	if _, w, _ := published(t, n.conn, "n1"); w != "11:59:00" {
		t.Errorf("watermark %s, complete until %s", w, until)
	}
	for _, o := range []ImportOptions{{Server: "", Region: "eu"}, {Server: "s", Region: ""}, {Server: "s", Region: "r", Format: "xml"}, {Server: "s", Region: "r", ClockErr: -1}} {
		o.Paths = []string{path}
		if _, err := n.Import(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// A byte order mark that an editor put before a file changes nothing.
func TestImportByteOrderMark(t *testing.T) {
	n, _ := openNode(t, newLog(t), Config{Node: "import"})
	dir := t.TempDir()
	plain := put(t, filepath.Join(dir, "plain", "a.log"), []byte(arena2))
	marked := put(t, filepath.Join(dir, "marked", "a.log"), []byte("\ufeff"+arena2))
	if s := importNow(t, n, marked, plain); s.Accepted != 2 || s.Duplicates != 2 || len(s.Refused) != 0 {
		t.Errorf("%+v", s)
	}
}
