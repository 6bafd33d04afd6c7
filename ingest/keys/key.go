package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"time"

	"photofinish/ingest"
	"photofinish/rules"
)

// Role is what a key may do.
type Role string

// The roles. A server pushes the events of one game server, and asks for its purchases.
// A consumer reads the feed of changes. An operator reads everything.
const (
	RoleServer   Role = "server"
	RoleConsumer Role = "consumer"
	RoleOperator Role = "operator"
)

// Grant is what a key stands for.
type Grant struct {
	Role     Role   `json:"role"`
	Server   string `json:"server,omitempty"`   // whose events it may push; a RoleServer has one, nobody else
	Region   string `json:"region,omitempty"`   // where that server stands
	Timezone string `json:"timezone,omitempty"` // of stamps that name none, such as Europe/Berlin; of a RoleServer
}

// Check returns why nobody can be given such a key, as an *ingest.FieldError, or nil.
func (g Grant) Check() error {
	switch g.Role {
	case RoleServer:
		if err := ingest.CheckName("server", g.Server); err != nil {
			return err
		}
		if err := ingest.CheckName("region", g.Region); err != nil {
			return err
		}
		if _, err := location(g.Timezone); err != nil {
			return err
		}
		return nil
	case RoleConsumer, RoleOperator:
		if g.Server != "" || g.Region != "" || g.Timezone != "" {
			return &ingest.FieldError{Field: "role", Value: string(g.Role), Reason: "reads; only the role server has a server, a region and a timezone"}
		}
		return nil
	}
	return &ingest.FieldError{Field: "role", Value: string(g.Role), Reason: "is not server, consumer or operator"}
}

// location returns the zone of that name. The zone of the machine is refused: two nodes
// must read the same stamp alike.
func location(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, &ingest.FieldError{Field: "timezone", Value: name, Reason: "is not a zone such as UTC or Europe/Berlin"}
	}
	return zone, nil
}

// Hash is the SHA-256 of a key's text.
type Hash [sha256.Size]byte

// Key is what is known of a key. The zero Key is none.
type Key struct {
	Grant

	ID      string        `json:"id"`
	Created rules.Instant `json:"created"`
	Revoked rules.Instant `json:"-"` // 0: it is active
	Hash    Hash          `json:"-"`

	zone *time.Location
}

// Active reports whether the key may be used.
func (k *Key) Active() bool { return k.ID != "" && k.Revoked == 0 }

// Location is the zone of the stamps of this key's server; nil where this machine does
// not know the zone, or the key has none.
func (k *Key) Location() *time.Location { return k.zone }

const (
	prefix      = "pf_"
	idBytes     = 8
	secretBytes = 20
	idEnd       = len(prefix) + 2*idBytes
	secretEnd   = idEnd + 1 + 2*secretBytes
	textBytes   = secretEnd + 2*crc32.Size
)

// New makes a key and its text, and keeps neither: Create does. It fails with an
// *ingest.FieldError.
func New(g Grant, now time.Time) (text string, k Key, err error) {
	if err := g.Check(); err != nil {
		return "", Key{}, err
	}
	text = newText()
	k = Key{Grant: g, Created: rules.Instant(now.UnixNano()), Hash: hashOf(text)}
	k.ID, _ = IDOf(text)
	if g.Role == RoleServer {
		k.zone, err = location(g.Timezone)
	}
	return text, k, err
}

// newText makes a key. Errors there are none: crypto/rand ends the program rather
// than to return less than it was asked for.
func newText() string {
	var id [idBytes]byte
	var secret [secretBytes]byte
	_, _ = rand.Read(id[:])
	_, _ = rand.Read(secret[:])
	text := prefix + hex.EncodeToString(id[:]) + "_" + hex.EncodeToString(secret[:])
	return text + checkOf(text)
}

func checkOf(text string) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))))
}

// IDOf returns the id of a text that has the form of a key, whoever made it.
func IDOf(text string) (id string, ok bool) {
	if len(text) != textBytes || !strings.HasPrefix(text, prefix) || text[idEnd] != '_' {
		return "", false
	}
	id = text[len(prefix):idEnd]
	if !isHex(id) || !isHex(text[idEnd+1:]) || checkOf(text[:secretEnd]) != text[secretEnd:] {
		return "", false
	}
	return id, true
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
