package ingest

import (
	"bytes"
	"strconv"

	"photofinish/rules"
)

// What a Source engine writes of a player is
//
//	"Name<uid><sid><team>" verb …
//
// and the player chooses the name, and in speech, new names, reasons and the like
// nearly everything behind the verb: quotes, brackets, whole lines of a log. So a line can be
// read in several ways, and it is believed only where all but one are impossible,
// whoever chose the names and the words.
//
// The ways are counted by one mark, a quote behind an angle bracket: >". The game writes it
// at the end of each player; names and words can only add to these. So the end of the player
// whom a line is about is one of the marks. Each of them is taken for it, and what follows
// tells what the line would be:
//
//   - ` killed "`: a kill, if a later mark ends a victim, which ` with "weapon"` follows, and both
//     have a position or neither has. It is impossible otherwise.
//   - ` purchased "item"` to the end of the line: a purchase.
//   - ` with "`: nothing. The game has no such verb.
//   - Anything else: speech, or whatever the game lets a player's text into.
//
// A line that is no kill and no purchase is, read at the mark that it is about, the
// last of these: one such reading and it is not believed. A line that is one has its true
// reading among the events: if there is one alone, it is the true one. An event that goes on
// in an unknown manner is counted and not believed, so that a true reading is never dropped.
//
// A line may also begin with another quotation, such as `"hostname" = "…"` or what a plugin
// writes of a name alone. It closes that quotation before it opens the next, so a name
// that holds what may be a closing quote and then another one is not believed.
//
// What may be an event and fails this is refused and counted: a wrong person's kill
// would be worse than one that somebody must look at. A line break in a name or text
// would make lines that no reader of the file could tell from the game's; the game lets
// none in.

// endOfPlayer ends what the game writes of a player.
const endOfPlayer = `>"`

// maxEnds bounds the readings of a line: two players and what hostile names may hold.
const maxEnds = 16

// sourcePlayer is `Name<uid><sid><team>` as the log quotes it.
type sourcePlayer struct{ name, sid, team []byte }

// id is what the player is known by: the Steam id, or the name where it is a bot.
func (p sourcePlayer) id() string {
	if string(p.sid) == "BOT" {
		return "BOT:" + text(p.name)
	}
	return text(p.sid)
}

// sourceEvent is `"P" [x y z] killed "V" [x y z] with "weapon" (tail) …`, of which older
// engines write no positions, or `"P" purchased "item"`.
type sourceEvent struct {
	kill           bool
	player, victim sourcePlayer
	item           []byte // or the weapon
	killTail
	known        bool   // nothing but that is there
	victimQuoted []byte // the victim's name from the quote before it
}

// errWords refuses a line that could be a player's words.
const errWords = lineError("looks like an event, but a player's name or words could have made it")

// readEvent reads what follows a stamp into e. It returns false where that is no
// event, and errWords where it only looks like one.
func readEvent(rest []byte, e *rules.Event) (bool, error) {
	if len(rest) == 0 || rest[0] != '"' || !looksLikeEvent(rest) {
		return false, nil
	}
	s, events, others := eventReadings(rest)
	switch {
	case events == 0:
		return false, nil
	case events > 1, others > 0, !s.known, closesQuotation(s.player.name), closesQuotation(s.victimQuoted):
		return false, errWords
	}
	if s.feigned {
		return false, nil
	}
	e.Player = s.player.id()
	e.Attrs["team"] = text(s.player.team)
	if !s.kill {
		e.Type, e.SKU = rules.TypePurchase, text(s.item)
		return true, nil
	}
	e.Type, e.Target = rules.TypeKill, s.victim.id()
	e.Attrs["weapon"] = text(s.item)
	e.Attrs["headshot"] = strconv.FormatBool(s.headshot)
	e.Attrs["victim_team"] = text(s.victim.team)
	return true, nil
}

// looksLikeEvent is true for every kill and every purchase, whatever the names. It costs
// less than the readings.
func looksLikeEvent(rest []byte) bool {
	if bytes.Contains(rest, []byte(`>" purchased "`)) {
		return true
	}
	return (bytes.Contains(rest, []byte(`>" killed "`)) || bytes.Contains(rest, []byte(`] killed "`))) && bytes.Contains(rest, []byte(` with "`))
}

// eventReadings counts the readings of a line as events, of which s is one, and as anything else.
func eventReadings(rest []byte) (s sourceEvent, events, others int) {
	var few [maxEnds + 1]int
	ends := few[:0] // behind each mark
	for at := 0; ; {
		next := bytes.Index(rest[at:], []byte(endOfPlayer))
		if next < 0 {
			break
		}
		at += next + len(endOfPlayer)
		if ends = append(ends, at); len(ends) > maxEnds {
			return s, 1, 1 // whatever it is, it is not believed
		}
	}
	for i, end := range ends {
		found, other := s.readAt(rest, end, ends[i+1:])
		if other {
			others++
		}
		events += found
	}
	return s, events, others
}

// readAt counts the events that a line tells if the player whom it is about ends at end,
// and becomes one of them. other is true if it tells anything else then.
func (s *sourceEvent) readAt(rest []byte, end int, later []int) (found int, other bool) {
	after, placed := cutPosition(rest[end:])
	if bytes.HasPrefix(after, []byte(` with "`)) {
		return 0, false
	}
	victim, kill := bytes.CutPrefix(after, []byte(` killed "`))
	item, buy := bytes.CutPrefix(after, []byte(` purchased "`))
	if !kill && !buy {
		return 0, true
	}
	p, ok := readPlayer(rest[1:end])
	if !ok {
		return 0, false // nobody whom the game would write
	}
	if buy {
		item, tail, closed := bytes.Cut(item, []byte{'"'})
		known := closed && !placed && len(tail) == 0 && !bytes.ContainsAny(item, "<>")
		*s = sourceEvent{player: p, item: item, known: known}
		return 1, false
	}
	start := len(rest) - len(victim)
	for _, end := range later {
		tail, victimPlaced := cutPosition(rest[end:])
		tail, with := bytes.CutPrefix(tail, []byte(` with "`))
		v, ok := readPlayer(rest[start:end])
		if !with || !ok || placed != victimPlaced {
			continue
		}
		weapon, tail, closed := bytes.Cut(tail, []byte{'"'})
		said, known := readTail(tail)
		known = known && closed && !bytes.ContainsAny(weapon, "<>")
		*s = sourceEvent{true, p, v, weapon, said, known, rest[start-1 : start+len(v.name)]}
		found++
	}
	return found, false
}

// closesQuotation reports whether a text holds a quote that may be a closing one, with
// another behind it. The end of a player is none: it is looked at for itself.
func closesQuotation(b []byte) bool {
	for i, c := range b {
		if c != '"' || i > 0 && b[i-1] == '>' {
			continue
		}
		if after := b[i+1:]; bytes.IndexByte(after, '"') >= 0 && bytes.IndexByte([]byte(" \t:;,=()\""), after[0]) >= 0 {
			return true
		}
	}
	return false
}

// readPlayer reads `Name<uid><sid><team>"`.
func readPlayer(b []byte) (p sourcePlayer, ok bool) {
	b = bytes.TrimSuffix(b, []byte{'"'})
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

// cutPosition takes ` [x y z]` off the front, where it is there.
func cutPosition(b []byte) (after []byte, found bool) {
	in, ok := bytes.CutPrefix(b, []byte(" ["))
	if !ok {
		return b, false
	}
	in, after, ok = bytes.Cut(in, []byte{']'})
	if !ok || bytes.ContainsAny(in, `"<>`) {
		return b, false
	}
	return after, true
}

// killTail is what a kill says behind the weapon.
type killTail struct {
	headshot bool
	feigned  bool // Team Fortress tells a spy's enemies of a death that was none
}

// readTail reads what follows the weapon of a kill: ` (word)` and ` (word "value")`, any
// number of them. ok is false if it is anything else.
func readTail(b []byte) (t killTail, ok bool) {
	for len(b) > 0 {
		in, isOpen := bytes.CutPrefix(b, []byte(" ("))
		in, after, isClosed := bytes.Cut(in, []byte{')'})
		words, value, hasValue := bytes.Cut(in, []byte{'"'})
		value, behind, isWhole := bytes.Cut(value, []byte{'"'})
		switch {
		case !isOpen, !isClosed, bytes.ContainsAny(in, "<>("), hasValue != isWhole, len(behind) > 0:
			return killTail{}, false
		case hasValue && string(words) == "customkill ":
			t.headshot = t.headshot || string(value) == "headshot"
			t.feigned = t.feigned || string(value) == "feign_death"
		case hasValue:
		default:
			for word := range bytes.FieldsSeq(words) {
				t.headshot = t.headshot || string(word) == "headshot"
			}
		}
		b = after
	}
	return t, true
}
