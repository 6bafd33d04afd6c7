package ingest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"photofinish/rules"
)

// seqLineBits is how many low bits of the seq of a source log's event count lines;
// the bits above are the second of the file's first stamp, so that one server's
// lines are in order across its files although their stamps are whole seconds.
const seqLineBits = 28

// sourceEpoch is what the seconds in a seq are counted from: 2000-01-01.
const sourceEpoch = int64(rules.MinInstant / 1e9)

// wholeSecond and wholeMilli are what a stamp leaves open that was cut to seconds or
// milliseconds: 34 names [34, 35), of which the last nanosecond is 34.999999999.
const (
	wholeSecond = int64(time.Second - 1)
	wholeMilli  = int64(time.Millisecond - 1)
)

// sourceLine is what a line of a Source engine's log says. The slices point into
// the line.
type sourceLine struct {
	stamped bool
	at      sourceStamp
	rest    []byte // behind the stamp
}

// sourceStamp is a time as the line has it, in a zone that it does not name.
type sourceStamp struct {
	year, month, day, hour, minute, second int
	milli                                  int // -1: whole seconds
}

// readSourceLine splits the stamp off a line without its end of line. Known are
//
//	L MM/DD/YYYY - HH:MM:SS: …
//	L MM/DD/YYYY - HH:MM:SS.mmm - …     (also with ": "; both with or without "L ")
func readSourceLine(line []byte) sourceLine {
	b := bytes.TrimPrefix(line, []byte("L "))
	l := sourceLine{at: sourceStamp{milli: -1}}
	const whole = len("MM/DD/YYYY - HH:MM:SS")
	if len(b) < whole || b[2] != '/' || b[5] != '/' || string(b[10:13]) != " - " || b[15] != ':' || b[18] != ':' {
		return sourceLine{}
	}
	ok := true
	number := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			ok = ok && '0' <= c && c <= '9'
			n = 10*n + int(c-'0')
		}
		return n
	}
	l.at.month, l.at.day, l.at.year = number(0, 2), number(3, 5), number(6, 10)
	l.at.hour, l.at.minute, l.at.second = number(13, 15), number(16, 18), number(19, 21)
	rest := b[whole:]
	if len(rest) >= 4 && rest[0] == '.' {
		l.at.milli = number(whole+1, whole+4)
		rest = rest[4:]
	}
	switch {
	case !ok:
		return sourceLine{}
	case bytes.HasPrefix(rest, []byte(": ")) && len(b) != len(line):
		l.rest = rest[2:]
	case bytes.HasPrefix(rest, []byte(" - ")) && l.at.milli >= 0:
		l.rest = rest[3:]
	case bytes.HasPrefix(rest, []byte(": ")) && l.at.milli >= 0:
		l.rest = rest[2:]
	default:
		return sourceLine{}
	}
	l.stamped = true
	return l
}

// instant returns when the stamp was at the earliest, and how much later it may have
// been: what was cut off, and where a local time occurs twice, as when clocks are set
// back in autumn, the time between the two. It refuses what is no date, such as
// February 30th.
func (s sourceStamp) instant(zone *time.Location) (rules.Instant, int64, error) {
	milli, openNs := s.milli, wholeMilli
	if milli < 0 {
		milli, openNs = 0, wholeSecond
	}
	t := time.Date(s.year, time.Month(s.month), s.day, s.hour, s.minute, s.second, milli*int(time.Millisecond), zone)
	if t.Day() != s.day || int(t.Month()) != s.month || s.hour > 23 || s.minute > 59 || s.second > 59 {
		return 0, 0, &FieldError{"at", fmt.Sprintf("%02d/%02d/%04d - %02d:%02d:%02d", s.month, s.day, s.year, s.hour, s.minute, s.second), "is not a time"}
	}
	first, last := readings(t)
	at, err := rules.InstantOf(first)
	if err == nil {
		_, err = rules.InstantOf(last)
	}
	if err != nil {
		return 0, 0, &FieldError{"at", t.Format(time.RFC3339), "is outside the years 2000 to 2199"}
	}
	return at, openNs + int64(last.Sub(first)), nil
}

// readings returns the first and the last instant at which the clocks of t's zone
// show what they show at t.
func readings(t time.Time) (first, last time.Time) {
	first, last = t, t
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	for _, near := range []time.Time{start.Add(-time.Second), end} {
		if start.IsZero() && near.Before(t) || end.IsZero() && !near.Before(t) {
			continue // the zone has known no other time on that side
		}
		_, other := near.Zone()
		u := t.Add(time.Duration(offset-other) * time.Second)
		if _, shown := u.Zone(); shown != other || other == offset {
			continue
		}
		if u.Before(first) {
			first = u
		}
		if u.After(last) {
			last = u
		}
	}
	return first, last
}

// sourcePlayer is `Name<uid><sid><team>` as the log quotes it.
type sourcePlayer struct{ name, sid, team []byte }

// id is what the player is known by: the Steam id, or the name where it is a bot.
func (p sourcePlayer) id() string {
	if string(p.sid) == "BOT" {
		return "BOT:" + text(p.name)
	}
	return text(p.sid)
}

// sourceKill is `"P" [x y z] killed "V" [x y z] with "weapon" rest`.
type sourceKill struct {
	player, victim sourcePlayer
	weapon         []byte
	headshot       bool
}

// sourceBuy is `"P" purchased "item"`.
type sourceBuy struct {
	player sourcePlayer
	item   []byte
}

// Names are written by players: they may hold quotes, brackets, even ` killed "`.
// Everything but the names has a fixed form that a part of a name can imitate but
// not prolong, so the lines are read from the right: of all ways to read a line,
// the one with the longest name of the player, then of the victim. That is what
// the greedy expression
//
//	^"(.*)<\d+><([^<>]*)><([^<>]*)>" \[[^\]]*\] killed "(.*)<\d+><([^<>]*)><([^<>]*)>" \[[^\]]*\] with "([^"]*)"(.*)$
//
// finds, which a test holds this scanner against.

// readKill reads what follows a stamp. Older engines write no positions; then a name
// with a quote in it is not taken: a player of such a name could forge kills by
// what they say in the chat.
func readKill(rest []byte) (k sourceKill, ok bool) {
	if k, ok = readKillWith(rest, "] killed \"", "] with \""); ok {
		return k, ok
	}
	k, ok = readKillWith(rest, "\" killed \"", "\" with \"")
	return k, ok && bytes.IndexByte(k.player.name, '"') < 0 && bytes.IndexByte(k.victim.name, '"') < 0
}

func readKillWith(rest []byte, killed, with string) (k sourceKill, ok bool) {
	if len(rest) == 0 || rest[0] != '"' {
		return k, false
	}
	for at := bytes.LastIndex(rest, []byte(killed)); at > 0; at = bytes.LastIndex(rest[:at+len(killed)-1], []byte(killed)) {
		if k.player, ok = readPlayer(rest[1:at+1], killed[0] == ']'); !ok {
			continue
		}
		if k.readVictim(rest[at+len(killed):], with) {
			return k, true
		}
	}
	return k, false
}

func (k *sourceKill) readVictim(b []byte, with string) (ok bool) {
	for at := bytes.LastIndex(b, []byte(with)); at >= 0; at = bytes.LastIndex(b[:at+len(with)-1], []byte(with)) {
		weapon, rest, closed := bytes.Cut(b[at+len(with):], []byte{'"'})
		if !closed {
			continue
		}
		if k.victim, ok = readPlayer(b[:at+1], with[0] == ']'); ok {
			k.weapon = weapon
			k.headshot = bytes.Contains(rest, []byte("(headshot)")) || bytes.Contains(rest, []byte(`(customkill "headshot")`))
			return true
		}
	}
	return false
}

// readBuy reads what follows a stamp.
func readBuy(rest []byte) (b sourceBuy, ok bool) {
	const purchased = `" purchased "`
	if len(rest) == 0 || rest[0] != '"' || rest[len(rest)-1] != '"' {
		return b, false
	}
	at := bytes.LastIndex(rest[:len(rest)-1], []byte(purchased))
	if at < 1 {
		return b, false
	}
	b.item = rest[at+len(purchased) : len(rest)-1]
	if bytes.IndexByte(b.item, '"') >= 0 {
		return b, false
	}
	b.player, ok = readPlayer(rest[1:at+1], false)
	return b, ok
}

// readPlayer reads `Name<uid><sid><team>"`, followed by ` [position]` where that is
// asked for, at the end of b and up to its start. It takes the longest name.
func readPlayer(b []byte, position bool) (p sourcePlayer, ok bool) {
	if !position {
		return readTuple(b)
	}
	if len(b) == 0 || b[len(b)-1] != ']' {
		return p, false
	}
	b = b[:len(b)-1]
	// The position holds no "]", so its "[" lies behind the last one before.
	for end := bytes.LastIndexByte(b, '['); end > bytes.LastIndexByte(b, ']'); end = bytes.LastIndexByte(b[:end], '[') {
		if before, spaced := bytes.CutSuffix(b[:end], []byte{' '}); spaced {
			if p, ok = readTuple(before); ok {
				return p, true
			}
		}
	}
	return p, false
}

// readTuple reads `Name<uid><sid><team>"`.
func readTuple(b []byte) (p sourcePlayer, ok bool) {
	b, ok = bytes.CutSuffix(b, []byte{'"'})
	if !ok {
		return p, false
	}
	var uid []byte
	for _, part := range []*[]byte{&p.team, &p.sid, &uid} {
		if b, ok = bytes.CutSuffix(b, []byte{'>'}); !ok {
			return p, false
		}
		open := bytes.LastIndexAny(b, "<>")
		if open < 0 || b[open] != '<' {
			return p, false
		}
		*part, b = b[open+1:], b[:open]
	}
	for _, c := range uid {
		if c < '0' || c > '9' {
			return p, false
		}
	}
	p.name = b
	return p, len(uid) > 0
}

// text makes UTF-8 of any bytes: each longest beginning of a character that is not
// continued, and each byte that can begin none, becomes one U+FFFD.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			size = brokenPrefix(b)
		}
		s.WriteRune(r)
		b = b[size:]
	}
	return s.String()
}

// brokenPrefix returns how many bytes at the start of b begin a character that is
// not continued; at least 1.
func brokenPrefix(b []byte) int {
	n, low, high := 0, byte(0x80), byte(0xbf)
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		n = 1
	case c >= 0xe0 && c <= 0xef:
		n = 2
	case c >= 0xf0 && c <= 0xf4:
		n = 3
	default:
		return 1
	}
	switch b[0] { // what may follow without being too long a form, a surrogate or too high
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	size := 1
	for size <= n && size < len(b) && low <= b[size] && b[size] <= high {
		size++
		low, high = 0x80, 0xbf
	}
	return size
}

// sourceMap returns the map that a line announces.
func sourceMap(rest []byte) (name string, ok bool) {
	for _, before := range []string{`Loading map "`, `Started map "`} {
		if after, found := bytes.CutPrefix(rest, []byte(before)); found {
			m, _, closed := bytes.Cut(after, []byte{'"'})
			return text(m), closed
		}
	}
	return "", false
}

const maxKindLetters = 24

// sourceKind is a short word for a line that is no event: what a player did, or
// the first word. It is letters only, whatever the line holds.
func sourceKind(rest []byte) string {
	if len(rest) > 0 && rest[0] == '"' {
		if _, after, found := bytes.Cut(rest, []byte(`>" `)); found {
			if word := wordOf(skipPosition(after)); word != "" {
				return "player " + word
			}
		}
		if wordOf(rest[1:]) == "" || !bytes.Contains(rest, []byte(`" = "`)) {
			return "other"
		}
		return "cvar"
	}
	if w := wordOf(skipPosition(rest)); w != "" {
		return w
	}
	return "other"
}

func skipPosition(b []byte) []byte {
	if len(b) > 0 && b[0] == '[' {
		if _, after, found := bytes.Cut(b, []byte("] ")); found {
			return after
		}
	}
	return b
}

func wordOf(b []byte) string {
	n := 0
	for n < len(b) && n < maxKindLetters && ('a' <= b[n]|0x20 && b[n]|0x20 <= 'z' || b[n] == '_') {
		n++
	}
	return string(b[:n])
}

// sourceLog makes events of the lines of one file.
type sourceLog struct {
	base      string // the name that ids begin with
	zone      *time.Location
	first     int64 // seconds since sourceEpoch of the first stamp; -1: none yet
	line      uint64
	mapName   string
	stamped   int
	attrs     map[string]string // of the event returned last
	stampRaw  []byte            // the stamp seen last and what it meant: most lines repeat it
	stampAt   rules.Instant
	stampOpen int64
}

func newSourceLog(base string, zone *time.Location) *sourceLog {
	return &sourceLog{base: base, zone: zone, first: -1, attrs: map[string]string{}}
}

// next reads the next line. It returns an event that is valid until the following
// call with what its stamp leaves open; or, where the line is none, its kind; or why it
// is refused.
func (s *sourceLog) next(line []byte) (e *rules.Event, openNs int64, kind string, err error) {
	s.line++
	l := readSourceLine(line)
	if !l.stamped && len(bytes.TrimSpace(line)) == 0 {
		return nil, 0, "blank", nil
	}
	if !l.stamped {
		// Rubbish, or the rest of a line that something broke.
		return nil, 0, "", &FieldError{"line", string(line[:min(len(line), 2*quotedBytes)]), "has no stamp such as L 02/14/2014 - 06:09:34"}
	}
	s.stamped++
	at, openNs, err := s.instant(line[:len(line)-len(l.rest)], l.at)
	if err != nil {
		return nil, 0, "", err
	}
	if s.first < 0 {
		s.first = int64(at/1e9) - sourceEpoch
	}
	if m, ok := sourceMap(l.rest); ok {
		s.mapName = m
		return nil, 0, sourceKind(l.rest), nil
	}
	clear(s.attrs)
	e = &rules.Event{At: at, Count: 1, Attrs: s.attrs}
	if buy, ok := readBuy(l.rest); ok {
		e.Type, e.Player, e.SKU = rules.TypePurchase, buy.player.id(), text(buy.item)
		s.attrs["team"] = text(buy.player.team)
	} else if kill, ok := readKill(l.rest); ok {
		e.Type, e.Player, e.Target = rules.TypeKill, kill.player.id(), kill.victim.id()
		s.attrs["weapon"] = text(kill.weapon)
		s.attrs["headshot"] = strconv.FormatBool(kill.headshot)
		s.attrs["team"] = text(kill.player.team)
		s.attrs["victim_team"] = text(kill.victim.team)
	} else {
		return nil, 0, sourceKind(l.rest), nil
	}
	if s.mapName != "" {
		s.attrs["map"] = s.mapName
	}
	if s.line >= 1<<seqLineBits {
		return nil, 0, "", &FieldError{"line", strconv.FormatUint(s.line, 10), fmt.Sprintf("is beyond the %d that one file may have", 1<<seqLineBits-1)}
	}
	e.ID = s.base + ":" + strconv.FormatUint(s.line, 10)
	e.Seq = uint64(s.first)<<seqLineBits | s.line
	return e, openNs, "", nil
}

func (s *sourceLog) instant(raw []byte, stamp sourceStamp) (rules.Instant, int64, error) {
	if len(raw) > 0 && bytes.Equal(raw, s.stampRaw) {
		return s.stampAt, s.stampOpen, nil
	}
	at, openNs, err := stamp.instant(s.zone)
	if err == nil {
		s.stampRaw, s.stampAt, s.stampOpen = append(s.stampRaw[:0], raw...), at, openNs
	}
	return at, openNs, err
}
