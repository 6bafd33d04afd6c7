package scenario

import (
	"bytes"
	"fmt"
	"strings"

	"photofinish/rules"
)

// Help explains scenario files to whoever writes one.
const Help = `A scenario is a text file that says what must happen: some rules, some events, the
cuts at which they are settled, and what the ledger then says. It begins with a
sentence that tells the story; its parts each begin with a line of their own:

  Bo's finish came in an hour after Ash had won, and was earlier: Bo gets it too.
  -- rules.yaml --
  version: 1
  rules:
    - {id: slayer, kind: world_first, when: {target: rabbit}, threshold: 1, prize: {item: carrot}}
  -- events --
  12:00:10  eu-1  kill rabbit ash  ±5ms
  12:00:05  us-1  kill rabbit bo   ±5ms  arrives=2
  -- cuts --
  13:00
  14:00
  -- want --
  cut 1: award slayer, place 1: ash 12:00:10±5ms, provisional; carrot (effect 1)
  cut 1: settled through 13:00: 1 event
  cut 2: correction slayer, place 1: ash of cut 1 was wrong, found bo, duplicate_award …

Empty lines and lines that begin with # are left out, except in want.

An event is: TIME SERVER TYPE WHAT PLAYER, then in any order:
  x5              how many (count; otherwise 1)
  ±5ms            the time is right give or take so much (or +-5ms; otherwise exact)
  within=1s       the stamp has only so fine a resolution: it happened from TIME up
                  to but without TIME + 1s, and what ± says besides
  seq=7           the server's own running number
  guild=oak       the player's guild
  clock=TIME      the server's own clock, where it is off; TIME is always the true one
  arrives=2       late: the first cut that can see it (otherwise 1)
  backdated       its server had declared that time complete before it came
  node=us         the ingest node that took it (otherwise the server's region)
  id=k1           a name to send the event twice by; the same id with something
                  else in it is a conflict (otherwise the number of the line)
  class=mage      any other word=text: an attribute
WHAT is the target, or of a purchase the sku. - is nobody, or nothing. A server
eu-1 is in the region eu; write eu-1@asia for another.

A TIME is 12:00, 12:00:05 or 12:00:05.000040, on Monday, 1 June 2026, UTC;
06-02T12:00 is on another day of that year.

A cut is a line with the TIME up to which it settles, later than the cut before. It
is settled as of two minutes after that. Every node has just spoken and promises
that nothing more comes from before a day after that TIME, so nobody is waited for.
After the TIME may stand, each for this cut alone unless it says otherwise:
  as_of TIME                 it is settled as of another time: holds and the time for
                             corrections are over if they end by then
  late                       the hour is settled already, and late evidence is taken in:
                             it settles up to where the cut before did, as of TIME
  complete                   nobody is waited for, and it is as of TIME itself
  waits for us since 12:30   (any number) the node us promises only that nothing comes
                             from before then: that is its watermark
  stale us since 12:30       the node us was last heard then: it is believed up to 15
                             minutes before, for regions it has not named as well
  excused us, retired us     the node us is not waited for
  rules other.yaml           from here on the rules are those of the part
                             -- other.yaml --

Each line of want is an entry of the ledger, in its order. An effect is what a
player is given or has taken: what has the same number happens once. Leave want
empty and let the test fill it in (rules test --update), then read what it says.
`

// secret is what the draws of every scenario come from.
const secret = "photofinish"

// Run settles a scenario file; see Help. It returns the lines that
// the ledger holds and those that the file wants. The name stands before every
// error, as a file's name would. An error says that the file cannot be read, never
// that got is not want.
func Run(name string, file []byte) (got, want string, err error) {
	in := split(file)
	s, err := read(in)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	w := newWording(s)
	ledger := rules.NewSimulation(secret)
	previous := ""
	for i := range s.cuts {
		cut := &s.cuts[i].Cut
		cut.Previous = previous
		entries := ledger.Settle(s.log, cut, s.cuts[i].Ruleset)
		for j := range entries {
			w.add(cut, &entries[j])
		}
		previous = entries[len(entries)-1].ID
	}
	return w.text.String(), string(in.get("want").data), nil
}

// Update returns the file with got as what it wants.
func Update(file []byte, got string) []byte {
	file = bytes.Clone(file)
	if len(file) > 0 && !bytes.HasSuffix(file, []byte("\n")) {
		file = append(file, '\n')
	}
	want := split(file).get("want")
	if want.line == 0 {
		return append(append(file, "-- want --\n"...), got...)
	}
	lines := bytes.SplitAfter(file, []byte("\n"))
	after := want.line + bytes.Count(want.data, []byte("\n"))
	updated := append(bytes.Join(lines[:want.line], nil), got...)
	return append(updated, bytes.Join(lines[after:], nil)...)
}

// part is a part of a scenario file, in the txtar format: the text after a
// line `-- name --` up to the next such line.
type part struct {
	name string
	line int // of its head, from 1; 0: there is no such part
	data []byte
}

type parts []part

func (p parts) get(name string) part {
	for _, one := range p {
		if one.name == name {
			return one
		}
	}
	return part{}
}

// split returns the parts of the file; what stands before the first is its
// story.
func split(file []byte) parts {
	var all parts
	number := 0
	for line := range bytes.Lines(file) {
		number++
		text := strings.TrimRight(string(line), "\r\n")
		head, ok := strings.CutPrefix(text, "-- ")
		if name, end := strings.CutSuffix(head, " --"); ok && end {
			all = append(all, part{name: strings.TrimSpace(name), line: number})
			continue
		}
		if len(all) > 0 {
			last := &all[len(all)-1]
			last.data = append(last.data, strings.TrimRight(string(line), "\r\n")...)
			last.data = append(last.data, '\n')
		}
	}
	return all
}
