package keys

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

//go:embed sql/facts.sql
var selectFacts string

const insertFact = `INSERT INTO api_keys (id, revoked, server, region, timezone, role, hash, at_ns)`

// MaxActive is how many keys of one server are active at once: the one in use and the
// one that is to replace it.
const MaxActive = 2

// What is wrong with a wish for a key.
var (
	ErrNoKey   = errors.New("there is no key of that id; keys list shows them")
	ErrNoID    = errors.New("an id has 16 digits from 0 to f, as between the two _ of a key")
	ErrRevoked = errors.New("it is revoked; keys create makes another")
	ErrActive  = fmt.Errorf("its server has %d active keys already; revoke one first", MaxActive)
	ErrMoved   = errors.New("the server has an active key for another region or timezone, under which its events would be others; revoke that first")
)

// Create makes a key and returns its text, which is kept nowhere. Two creations at the
// same moment may give a server more than MaxActive keys, which harms nobody. Errors are
// *ingest.FieldError, ErrActive, ErrMoved and those of the connection; after one of
// those it is unknown whether the key exists, and nobody has its text.
func Create(ctx context.Context, conn driver.Conn, g Grant, now time.Time) (text string, k Key, err error) {
	text, k, err = New(g, now)
	if err != nil {
		return "", Key{}, fmt.Errorf("create a key: %w", err)
	}
	list, err := List(ctx, conn)
	if err != nil {
		return "", Key{}, err
	}
	if err := mayHaveAnother(list, g); err != nil {
		return "", Key{}, fmt.Errorf("create a key: %w", err)
	}
	if err := record(ctx, conn, &k, 0, k.Created); err != nil {
		return "", Key{}, fmt.Errorf("create a key: %w", err)
	}
	return text, k, nil
}

// mayHaveAnother returns why the grant's server may not have one key more.
func mayHaveAnother(list []Key, g Grant) error {
	active := 0
	for i := range list {
		k := &list[i]
		if g.Role != RoleServer || !k.Active() || k.Role != RoleServer || k.Server != g.Server {
			continue
		}
		if k.Grant != g {
			return fmt.Errorf("server %q: %w", g.Server, ErrMoved)
		}
		if active++; active >= MaxActive {
			return fmt.Errorf("server %q: %w", g.Server, ErrActive)
		}
	}
	return nil
}

// Rotate makes a key that stands for the same as an active one, which stays active
// until it is revoked: a server goes on with the old one until it has the new.
func Rotate(ctx context.Context, conn driver.Conn, id string, now time.Time) (text string, k Key, err error) {
	old, err := find(ctx, conn, id)
	if err != nil {
		return "", Key{}, fmt.Errorf("rotate a key: %w", err)
	}
	if !old.Active() {
		return "", Key{}, fmt.Errorf("rotate key %s: %w", id, ErrRevoked)
	}
	return Create(ctx, conn, old.Grant, now)
}

// Revoke ends a key; one that is revoked stays as it was. Each node knows within the
// time between two readings of its Store.
func Revoke(ctx context.Context, conn driver.Conn, id string, now time.Time) (Key, error) {
	k, err := find(ctx, conn, id)
	if err != nil {
		return Key{}, fmt.Errorf("revoke a key: %w", err)
	}
	if !k.Active() {
		return k, nil
	}
	k.Revoked = rules.Instant(now.UnixNano())
	if err := record(ctx, conn, &k, 1, k.Revoked); err != nil {
		return Key{}, fmt.Errorf("revoke key %s: %w", id, err)
	}
	return k, nil
}

// RevokeLost is Revoke also for a key that the table does not know, as where its disk was
// lost: nodes that have the key in their files drop it, and it is listed by its id alone,
// made when it was revoked. It fails with ErrNoID where the text cannot be one.
func RevokeLost(ctx context.Context, conn driver.Conn, id string, now time.Time) (Key, error) {
	k, err := Revoke(ctx, conn, id, now)
	if !errors.Is(err, ErrNoKey) {
		return k, err
	}
	if len(id) != 2*idBytes || !isHex(id) {
		return Key{}, fmt.Errorf("revoke a key: %w", ErrNoID) // likewise without it
	}
	at := rules.Instant(now.UnixNano())
	k = Key{ID: id, Created: at, Revoked: at}
	if err := record(ctx, conn, &k, 1, at); err != nil {
		return Key{}, fmt.Errorf("revoke key %s: %w", id, err)
	}
	return k, nil
}

func find(ctx context.Context, conn driver.Conn, id string) (Key, error) {
	list, err := List(ctx, conn)
	if err != nil {
		return Key{}, err
	}
	for i := range list {
		if list[i].ID == id {
			return list[i], nil
		}
	}
	return Key{}, ErrNoKey // without the id: it may be a secret that was given by mistake
}

// List returns every key that was ever made, by server, time and id.
func List(ctx context.Context, conn driver.Conn) ([]Key, error) {
	known, err := read(ctx, conn)
	if err != nil {
		return nil, err
	}
	list := make([]Key, 0, len(known))
	for _, k := range known { // order free: sorted below
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// read returns all keys by id.
func read(ctx context.Context, conn driver.Conn) (known map[string]Key, err error) {
	rows, err := conn.Query(ctx, selectFacts)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	known = map[string]Key{}
	for rows.Next() {
		var k Key
		var revoked uint8
		var role, hash string
		var at int64
		if err := rows.Scan(&k.ID, &revoked, &k.Server, &k.Region, &k.Timezone, &role, &hash, &at); err != nil {
			return nil, fmt.Errorf("read the keys: %w", err)
		}
		k.Role, k.Created = Role(role), rules.Instant(at)
		copy(k.Hash[:], hash)
		if revoked != 0 {
			// Where the creation is lost, as by a power cut, the revocation alone still says all.
			k.Revoked = rules.Instant(at)
		}
		learn(known, &k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	return known, nil
}

// learn adds what is new in k to what is known, and reports whether anything was: a key,
// or that one is revoked.
func learn(known map[string]Key, k *Key) bool {
	old, ok := known[k.ID]
	switch {
	case !ok:
		known[k.ID] = *k
	case old.Revoked == 0 && k.Revoked != 0:
		old.Revoked = k.Revoked
		known[k.ID] = old
	default:
		return false
	}
	return true
}

func record(ctx context.Context, conn driver.Conn, k *Key, revoked uint8, at rules.Instant) error {
	// As everywhere: the engine's own deduplication can lose acknowledged rows.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "deduplicate_insert": "disable", "insert_deduplicate": 0,
	}))
	batch, err := conn.PrepareBatch(ctx, insertFact)
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }() // after Send there is nothing to close
	if err := batch.Append(k.ID, revoked, k.Server, k.Region, k.Timezone, string(k.Role), string(k.Hash[:]), int64(at)); err != nil {
		return err
	}
	return batch.Send()
}
