package keys

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"photofinish/rules"
)

// Every is how often a Store reads the table, and so how long a revoked key may still be
// taken by a node that reaches ClickHouse.
const Every = 2 * time.Second

// readTimeout bounds one reading: a ClickHouse that is frozen must not hold the next.
const readTimeout = 10 * time.Second

// What a presented text can be other than a key that may be used.
var (
	// ErrUnknown says that no active key is that text. It does not tell a revoked one.
	ErrUnknown = errors.New("the key is not known")
	// ErrNotLoaded says that the node has neither its file nor ClickHouse, so that nobody
	// can say yet who may send.
	ErrNotLoaded = errors.New("the keys are not loaded yet: this node has not reached ClickHouse since it was set up")
)

// Store is the keys as a node knows them. Find may be called by several goroutines at
// once, also while Run runs.
type Store struct {
	conn driver.Conn
	log  *slog.Logger
	path string

	known atomic.Pointer[map[string]Key] // by id; never written after it is here. nil: not loaded

	asking sync.Mutex      // guards the fields below
	under  *reading        // the one under way that somebody waits for
	next   *reading        // the one that begins next, likewise
	paused <-chan struct{} // closed once the next may begin; nil: it may
	failed bool            // the last one did

	refreshing chan struct{} // holds one while a Refresh is under way; guards unsaved
	unsaved    bool          // the file lacks what is known
}

// NewStore returns a store that reads the keys over conn and keeps them in the file at
// path. It does nothing else: Load reads the file.
func NewStore(conn driver.Conn, log *slog.Logger, path string) *Store {
	return &Store{conn: conn, log: log, path: path, refreshing: make(chan struct{}, 1)}
}

// Find returns the key with that text, or ErrUnknown or ErrNotLoaded. It takes one hash
// and one comparison in constant time whatever the text is; where no key has its id, it may
// wait for a reading of the table.
func (s *Store) Find(ctx context.Context, text string) (Key, error) {
	if id, formed := IDOf(text); formed && !s.has(id) {
		s.ask(ctx, id)
	}
	known := s.known.Load()
	if known == nil {
		return Key{}, ErrNotLoaded
	}
	id, formed := IDOf(text)
	k, found := (*known)[id] // none has the empty id
	hash := hashOf(text[:min(len(text), textBytes+1)])
	same := subtle.ConstantTimeCompare(hash[:], k.Hash[:]) == 1
	if !formed || !found || !same || !k.Active() {
		return Key{}, ErrUnknown
	}
	return k, nil
}

// has reports whether the id is known; so it is where nothing is known.
func (s *Store) has(id string) bool {
	known := s.known.Load()
	if known == nil {
		return true
	}
	_, found := (*known)[id]
	return found
}

// lock takes the one reading at a time.
func (s *Store) lock(ctx context.Context) error {
	select {
	case s.refreshing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Store) unlock() { <-s.refreshing }

// OfServer returns the active keys of a server, by id.
func (s *Store) OfServer(server string) (list []Key) {
	if known := s.known.Load(); known != nil {
		for _, id := range slices.Sorted(maps.Keys(*known)) {
			if k := (*known)[id]; k.Active() && k.Role == RoleServer && k.Server == server {
				list = append(list, k)
			}
		}
	}
	return list
}

func hashOf(text string) Hash { return sha256.Sum256([]byte(text)) }

// Load reads what the node knew when it last ran. Where there is no file, or a damaged
// one, nobody is known until the first Refresh.
func (s *Store) Load() error {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var list []stored
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	known := make(map[string]Key, len(list))
	for i := range list {
		if err == nil {
			var k Key
			k, err = list[i].key()
			learn(known, &k)
		}
	}
	if err != nil {
		return fmt.Errorf("read the keys of this node: %s: %w; it is made anew once ClickHouse is reached", s.path, err)
	}
	s.publish(known)
	return nil
}

// Run reads the table every Every until ctx is done, then returns the cause. While
// ClickHouse is away the keys stay as they were.
func (s *Store) Run(ctx context.Context) error {
	t := time.NewTicker(Every)
	defer t.Stop()
	failed := false
	for {
		err := s.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !failed: // once, not every few seconds
			s.log.WarnContext(ctx, "keys not read; those known stay", "err", err)
		case err == nil && failed:
			s.log.InfoContext(ctx, "keys read again")
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

// Refresh reads the table once and adds what is new to what is known.
func (s *Store) Refresh(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	defer s.unlock()
	return s.refresh(ctx)
}

// refresh is Refresh for who has the lock.
func (s *Store) refresh(ctx context.Context) error {
	if err := s.read(ctx); err != nil {
		return err
	}
	return s.keep()
}

// read adds what is new in the table to what is known. The lock is held.
func (s *Store) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	facts, err := read(ctx, s.conn)
	if err != nil {
		return err
	}
	known := map[string]Key{}
	before := s.known.Load()
	if before != nil {
		known = maps.Clone(*before)
	}
	changed := before == nil
	for _, id := range slices.Sorted(maps.Keys(facts)) {
		k := facts[id]
		changed = learn(known, &k) || changed
	}
	if changed {
		// First in memory: a revocation must count even where the disk is full.
		s.publish(known)
		s.unsaved = true
	}
	return nil
}

// keep saves what is known, if that is not yet done. The lock is held. A crash before it
// leaves the old file. The next Refresh finds the facts again; should ClickHouse be away by
// then, the node starts with the older keys.
func (s *Store) keep() error {
	if !s.unsaved {
		return nil
	}
	if err := s.save(*s.known.Load()); err != nil {
		return err
	}
	s.unsaved = false
	return nil
}

// publish makes the keys those that Find sees.
func (s *Store) publish(known map[string]Key) {
	for _, id := range slices.Sorted(maps.Keys(known)) {
		k := known[id]
		if k.zone == nil && k.Role == RoleServer && k.Active() {
			zone, err := location(k.Timezone)
			if err != nil {
				s.log.Warn("zone of a key not known here; its source logs are not taken", "key", k.ID, "err", err)
			}
			k.zone = zone
			known[id] = k
		}
	}
	s.known.Store(&known)
}

// stored is a key in the file.
type stored struct {
	Grant

	ID        string `json:"id"`
	SHA256    string `json:"sha256"`
	CreatedNs int64  `json:"created_ns,string"`
	RevokedNs int64  `json:"revoked_ns,string"`
}

func (f *stored) key() (Key, error) {
	k := Key{Grant: f.Grant, ID: f.ID, Created: rules.Instant(f.CreatedNs), Revoked: rules.Instant(f.RevokedNs)}
	hash, err := hex.DecodeString(f.SHA256)
	if err == nil && (len(hash) != len(k.Hash) || f.ID == "") {
		err = errors.New("a key without its id or hash")
	}
	copy(k.Hash[:], hash)
	return k, err
}

// save replaces the file at once, so that a crash leaves the old or the new one. Nobody
// but the owner can read it.
func (s *Store) save(known map[string]Key) error {
	list := make([]stored, 0, len(known))
	for _, id := range slices.Sorted(maps.Keys(known)) {
		k := known[id]
		list = append(list, stored{k.Grant, k.ID, hex.EncodeToString(k.Hash[:]), int64(k.Created), int64(k.Revoked)})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("save the keys: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), "keys-*.tmp") // of mode 0600
	if err != nil {
		return fmt.Errorf("save the keys: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("save the keys: %w", err)
	}
	return nil
}
