package keys

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/cmd/clickhouse/clickhousetest"
	"photofinish/ingest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func server(name string) Grant {
	return Grant{Role: RoleServer, Server: name, Region: "eu", Timezone: "Europe/Berlin"}
}

func newTable(t *testing.T) driver.Conn {
	t.Helper()
	conn := clickhousetest.New(t)
	if err := ingest.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

func create(t *testing.T, conn driver.Conn, g Grant) (string, Key) {
	t.Helper()
	text, k, err := Create(t.Context(), conn, g, noon)
	if err != nil {
		t.Fatal(err)
	}
	return text, k
}

func newStore(t *testing.T, conn driver.Conn) *Store {
	t.Helper()
	return NewStore(conn, slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "keys.json"))
}

func refresh(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantFind(t *testing.T, s *Store, text string, want error) Key {
	t.Helper()
	k, err := s.Find(t.Context(), text)
	if !errors.Is(err, want) {
		t.Fatalf("Find: %v, want %v", err, want)
	}
	return k
}

// The life of a key: it is found from the next reading on, replaced while it still
// works, and gone with the reading after its revocation.
func TestLife(t *testing.T) {
	conn := newTable(t)
	s := newStore(t, conn)
	text, k := create(t, conn, server("eu-1"))
	wantFind(t, s, text, ErrNotLoaded)
	refresh(t, s)
	found := wantFind(t, s, text, nil)
	if found.Grant != server("eu-1") || found.ID != k.ID || found.Location().String() != "Europe/Berlin" || found.Created.Time() != noon {
		t.Errorf("found %+v", found)
	}
	next, n, err := Rotate(t.Context(), conn, k.ID, noon)
	if err != nil || n.Grant != k.Grant || n.ID == k.ID {
		t.Fatalf("rotated to %+v: %v", n, err)
	}
	refresh(t, s)
	wantFind(t, s, text, nil)
	wantFind(t, s, next, nil)
	if list := s.OfServer("eu-1"); len(list) != 2 {
		t.Errorf("the server has %d active keys", len(list))
	}
	if _, _, err := Rotate(t.Context(), conn, k.ID, noon); !errors.Is(err, ErrActive) {
		t.Errorf("a third key: %v", err)
	}
	for range 2 { // again is no error and changes nothing
		if r, err := Revoke(t.Context(), conn, k.ID, noon.Add(time.Minute)); err != nil || r.Revoked.Time() != noon.Add(time.Minute) {
			t.Fatalf("revoked %+v: %v", r, err)
		}
	}
	refresh(t, s)
	wantFind(t, s, text, ErrUnknown)
	wantFind(t, s, next, nil)
	if _, _, err := Rotate(t.Context(), conn, k.ID, noon); !errors.Is(err, ErrRevoked) {
		t.Errorf("rotating a revoked key: %v", err)
	}
	list, err := List(t.Context(), conn)
	if err != nil || len(list) != 2 || list[0].Active() == list[1].Active() {
		t.Errorf("listed %+v: %v", list, err)
	}
}

// What is not exactly a known key is unknown, and only a text with the form of a key has
// an id.
func TestFindRefuses(t *testing.T) {
	conn := newTable(t)
	text, k := create(t, conn, server("eu-1"))
	s := newStore(t, conn)
	refresh(t, s)
	other := newText()
	forged := text[:idEnd+1] + other[idEnd+1:secretEnd] // the id of one, the secret of another
	for name, wrong := range map[string]string{
		"empty": "", "prefix": prefix, "cut": text[:len(text)-1], "longer": text + "0", "upper": strings.ToUpper(text),
		"another": other, "forged": forged + checkOf(forged), "check": text[:secretEnd] + "00000000",
		"id alone": k.ID, "huge": strings.Repeat(text, 1000), "space": " " + text,
	} {
		t.Run(name, func(t *testing.T) { wantFind(t, s, wrong, ErrUnknown) })
	}
	if id, ok := IDOf(text); !ok || id != k.ID {
		t.Errorf("IDOf gives %q, %t", id, ok)
	}
	if _, ok := IDOf(text[:secretEnd] + "00000000"); ok {
		t.Error("a wrong check has an id")
	}
}

// Wishes that are refused, and nothing is recorded.
func TestCreateRefuses(t *testing.T) {
	conn := newTable(t)
	create(t, conn, server("taken"))
	var field *ingest.FieldError
	for name, g := range map[string]Grant{
		"no role": {Server: "a", Region: "eu", Timezone: "UTC"}, "another role": {Role: "root"},
		"no server":      {Role: RoleServer, Region: "eu", Timezone: "UTC"},
		"no region":      {Role: RoleServer, Server: "a", Timezone: "UTC"},
		"no zone":        {Role: RoleServer, Server: "a", Region: "eu"},
		"own zone":       {Role: RoleServer, Server: "a", Region: "eu", Timezone: "Local"},
		"unknown zone":   {Role: RoleServer, Server: "a", Region: "eu", Timezone: "Mars/Olympus"},
		"control":        {Role: RoleServer, Server: "a\n", Region: "eu", Timezone: "UTC"},
		"reading server": {Role: RoleOperator, Server: "a"},
	} {
		if _, _, err := Create(t.Context(), conn, g, noon); !errors.As(err, &field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	moved := server("taken")
	moved.Region = "us"
	if _, _, err := Create(t.Context(), conn, moved, noon); !errors.Is(err, ErrMoved) {
		t.Errorf("another region: %v", err)
	}
	if _, err := Revoke(t.Context(), conn, "0123456789abcdef", noon); !errors.Is(err, ErrNoKey) {
		t.Errorf("revoking nothing: %v", err)
	}
	if list, err := List(t.Context(), conn); err != nil || len(list) != 1 {
		t.Errorf("recorded are %+v: %v", list, err)
	}
	for range MaxActive + 1 { // readers are not counted
		create(t, conn, Grant{Role: RoleConsumer})
	}
}

// Neither the table nor the file nor a message holds a key in clear, and only the owner
// reads the file.
func TestNothingInClear(t *testing.T) {
	conn := newTable(t)
	text, k := create(t, conn, server("eu-1"))
	s := newStore(t, conn)
	refresh(t, s)
	b, err := os.ReadFile(s.path)
	if err != nil || !bytes.Contains(b, []byte(k.ID)) {
		t.Fatalf("the file: %s: %v", b, err)
	}
	secret := text[idEnd+1 : secretEnd]
	var rows uint64
	if err := conn.QueryRow(t.Context(), "SELECT countIf(position(concat(id, hash, hex(hash)), {s:String}) > 0) FROM api_keys",
		driver.NamedValue{Name: "s", Value: secret}).Scan(&rows); err != nil || rows != 0 || bytes.Contains(b, []byte(secret)) {
		t.Errorf("in clear in %d rows (%v), or in the file %s", rows, err, b)
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v: %v", info.Mode(), err)
	}
	if _, err := Revoke(t.Context(), conn, text, noon); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a key where an id should be: %v", err)
	}
}

// While ClickHouse is away a node that starts knows what it knew before, and a
// ClickHouse that comes back empty, as from an old disk, changes nothing of it.
func TestWithoutClickHouse(t *testing.T) {
	conn := newTable(t)
	old, revoked := create(t, conn, server("eu-1"))
	text, _ := create(t, conn, server("eu-1"))
	if _, err := Revoke(t.Context(), conn, revoked.ID, noon); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, conn)
	refresh(t, s)
	if err := conn.Exec(t.Context(), "TRUNCATE TABLE api_keys"); err != nil {
		t.Fatal(err)
	}
	again := NewStore(conn, slog.New(slog.DiscardHandler), s.path)
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before and after it reads the empty table
		wantFind(t, again, text, nil)
		wantFind(t, again, old, ErrUnknown)
		refresh(t, again)
	}
}

// Where the file cannot be written the keys count all the same, and it is written as
// soon as it can be.
func TestFileCannotBeWritten(t *testing.T) {
	conn := newTable(t)
	text, _ := create(t, conn, server("eu-1"))
	s := newStore(t, conn)
	dir := filepath.Join(filepath.Dir(s.path), "later")
	s.path = filepath.Join(dir, "keys.json")
	if err := s.Refresh(t.Context()); err == nil {
		t.Fatal("a file was written where there is no folder")
	}
	wantFind(t, s, text, nil)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	refresh(t, s)
	if _, err := os.Stat(s.path); err != nil {
		t.Error(err)
	}
}

// A damaged file is no reason not to start: the keys come back with ClickHouse.
func TestDamagedFile(t *testing.T) {
	conn := newTable(t)
	text, _ := create(t, conn, server("eu-1"))
	s := newStore(t, conn)
	for _, damaged := range []string{"", "{", "[{}]", `[{"id":"a","sha256":"00","created_ns":"1","revoked_ns":"0"}]`} {
		if err := os.WriteFile(s.path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Load(); err == nil {
			t.Errorf("%q is taken for a file of keys", damaged)
		}
		wantFind(t, s, text, ErrNotLoaded)
	}
	refresh(t, s)
	wantFind(t, s, text, nil)
}

// down is a ClickHouse that answers nothing but errors.
type down struct{ driver.Conn }

func (down) Query(context.Context, string, ...any) (driver.Rows, error) { return nil, errDown }

var errDown = errors.New("connection refused")

// Run goes on while ClickHouse is away, says so once and not at every try, and ends with
// its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		s := NewStore(down{}, slog.New(slog.NewTextHandler(&said, nil)), filepath.Join(t.TempDir(), "keys.json"))
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(10 * Every) // of the bubble's clock
		cancel(errDown)
		if err := <-done; !errors.Is(err, errDown) {
			t.Errorf("Run ends with %v", err)
		}
		if n := strings.Count(said.String(), "keys not read"); n != 1 {
			t.Errorf("it was said %d times:\n%s", n, said.String())
		}
	})
}

// counting counts what is asked of the table.
type counting struct {
	driver.Conn

	queries int
}

func (c *counting) Query(ctx context.Context, statement string, args ...any) (driver.Rows, error) {
	c.queries++
	return c.Conn.Query(ctx, statement, args...)
}

// A key that was made a moment ago is taken at once, not at the next reading. Texts that are
// no key, or another's of a known id, do not have the table read.
func TestNewKeyAtOnce(t *testing.T) {
	conn := newTable(t)
	counts := &counting{Conn: conn}
	s := newStore(t, counts)
	refresh(t, s)
	text, _ := create(t, conn, server("eu-1"))
	wantFind(t, s, text, nil)
	counts.queries = 0
	for _, wrong := range []string{"", "nothing", text + "x", text[:len(text)-1] + "-"} {
		wantFind(t, s, wrong, ErrUnknown)
	}
	if counts.queries > 0 {
		t.Errorf("texts of known ids, or none, had the table read %d times", counts.queries)
	}
}

// slow is a table of keys that takes a while to be read, and shows what was in it when the
// reading began.
type slow struct {
	driver.Conn

	takes time.Duration

	mu       sync.Mutex
	keys     []Key
	err      error
	readings int
	reading  bool
	crowded  bool // two readings were under way at once
}

func (s *slow) add(t *testing.T) (text string) {
	t.Helper()
	text, k, err := New(server("eu-1"), noon)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, k)
	return text
}

func (s *slow) Query(ctx context.Context, _ string, _ ...any) (driver.Rows, error) {
	s.mu.Lock()
	s.readings++
	s.crowded = s.crowded || s.reading
	s.reading = true
	rows, err := &keyRows{keys: slices.Clone(s.keys)}, s.err
	s.mu.Unlock()
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	s.reading = false
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// keyRows is what a slow table answers.
type keyRows struct {
	driver.Rows

	keys []Key
}

func (r *keyRows) Next() bool { return len(r.keys) > 0 }

func (r *keyRows) Scan(to ...any) error {
	k := r.keys[0]
	r.keys = r.keys[1:]
	for i, v := range []any{k.ID, uint8(0), k.Server, k.Region, k.Timezone, string(k.Role), string(k.Hash[:]), int64(k.Created)} {
		reflect.ValueOf(to[i]).Elem().Set(reflect.ValueOf(v))
	}
	return nil
}

func (*keyRows) Err() error   { return nil }
func (*keyRows) Close() error { return nil }

// asking runs a test against a store of a slow table, whose first reading has ended.
func asking(t *testing.T, takes time.Duration, test func(t *testing.T, table *slow, s *Store)) {
	synctest.Test(t, func(t *testing.T) {
		table := &slow{takes: takes}
		table.add(t)
		s := NewStore(table, slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "keys.json"))
		refresh(t, s)
		table.readings = 0
		test(t, table, s)
		if table.crowded {
			t.Error("two readings were under way at once")
		}
	})
}

// All who come at once with a key that was just made find it, by one reading.
func TestNewKeyOfManyConnections(t *testing.T) {
	asking(t, 20*time.Millisecond, func(t *testing.T, table *slow, s *Store) {
		text := table.add(t)
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				if _, err := s.Find(t.Context(), text); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if table.readings != 1 {
			t.Errorf("the table was read %d times", table.readings)
		}
	})
}

// Who comes while a reading is under way that began before the key was made, whether for
// another or of Run, waits for the next.
func TestNewKeyDuringReading(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *Store){
		"asked for": func(t *testing.T, s *Store) { _, _ = s.Find(t.Context(), newText()) },
		"of Run":    func(t *testing.T, s *Store) { _ = s.Refresh(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			asking(t, 300*time.Millisecond, func(t *testing.T, table *slow, s *Store) {
				var before sync.WaitGroup
				before.Go(func() { begin(t, s) })
				time.Sleep(100 * time.Millisecond)
				wantFind(t, s, table.add(t), nil)
				before.Wait()
			})
		})
	}
}

// Made-up keys, however many, keep no new key out, and have the table read now and then.
func TestNewKeyBesideWrongKeys(t *testing.T) {
	asking(t, 20*time.Millisecond, func(t *testing.T, table *slow, s *Store) {
		ctx, stop := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 50 {
			flood.Go(func() {
				for ctx.Err() == nil {
					if _, err := s.Find(ctx, newText()); !errors.Is(err, ErrUnknown) {
						t.Errorf("a made-up key: %v", err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		began := time.Now()
		for range 20 {
			time.Sleep(37 * time.Millisecond)
			wantFind(t, s, table.add(t), nil)
		}
		lasted := time.Since(began)
		stop()
		flood.Wait()
		if most := int(lasted/askPause) + 2; table.readings > most {
			t.Errorf("in %s the table was read %d times", lasted, table.readings)
		}
	})
}

// Nobody waits longer than a second, nor longer than he wants to: the reading of one who gave
// up goes on for the others. While the table cannot be read it is tried once a second.
func TestNewKeyWithoutClickHouse(t *testing.T) {
	asking(t, 200*time.Millisecond, func(t *testing.T, table *slow, s *Store) {
		text := table.add(t)
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { _, _ = s.Find(impatient, text) })
		synctest.Wait()
		all.Go(func() {
			if _, err := s.Find(t.Context(), text); err != nil {
				t.Errorf("who is patient: %v", err)
			}
		})
		all.Wait()

		table.takes = time.Hour
		began := time.Now()
		all.Go(func() { _, _ = s.Find(t.Context(), newText()) })
		synctest.Wait()
		all.Go(func() { _, _ = s.Find(t.Context(), newText()) })
		all.Wait()
		if waited := time.Since(began); waited > 2*askTimeout+askPause {
			t.Errorf("of a frozen table they waited %s", waited)
		}

		table.takes, table.err = 0, errDown
		time.Sleep(askTimeout)
		table.readings, began = 0, time.Now()
		for time.Since(began) < 10*askTimeout {
			wantFind(t, s, newText(), ErrUnknown)
			time.Sleep(10 * time.Millisecond)
		}
		if table.readings > 11 {
			t.Errorf("in ten seconds the table was tried %d times", table.readings)
		}
	})
}

// A key that the table has lost is revoked all the same: nodes that have it in their files
// drop it for good, and only what has the form of an id is recorded.
func TestRevokeLost(t *testing.T) {
	conn := newTable(t)
	text, k := create(t, conn, server("eu-1"))
	s := newStore(t, conn)
	refresh(t, s)
	if err := conn.Exec(t.Context(), "TRUNCATE TABLE api_keys"); err != nil {
		t.Fatal(err)
	}
	refresh(t, s)
	wantFind(t, s, text, nil)
	if _, err := Revoke(t.Context(), conn, k.ID, noon); !errors.Is(err, ErrNoKey) {
		t.Fatalf("without force: %v", err)
	}
	for _, wrong := range []string{"", text, k.ID[1:], k.ID + "0", strings.ToUpper(k.ID[:idBytes]) + "GGGGGGGG"} {
		if _, err := RevokeLost(t.Context(), conn, wrong, noon); !errors.Is(err, ErrNoID) || wrong != "" && strings.Contains(err.Error(), wrong) {
			t.Errorf("an id that is none: %v", err)
		}
	}
	for range 2 { // again changes nothing
		if r, err := RevokeLost(t.Context(), conn, k.ID, noon); err != nil || r.ID != k.ID || r.Revoked.Time() != noon {
			t.Fatalf("revoked %+v: %v", r, err)
		}
	}
	if list, err := List(t.Context(), conn); err != nil || len(list) != 1 || list[0].Active() || list[0].Role != "" {
		t.Errorf("listed %+v: %v", list, err)
	}
	refresh(t, s)
	wantFind(t, s, text, ErrUnknown)
	again := NewStore(down{}, slog.New(slog.DiscardHandler), s.path)
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	wantFind(t, again, text, ErrUnknown)
	fresh := newStore(t, conn) // a node that never knew it
	refresh(t, fresh)
	wantFind(t, fresh, text, ErrUnknown)
	if err := fresh.Load(); err != nil {
		t.Errorf("its file: %v", err)
	}
}
