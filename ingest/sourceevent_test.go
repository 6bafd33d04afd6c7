package ingest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
)

// pieces are what hostile names and words are made of.
func pieces() []string {
	return []string{
		`"`, `<`, `>`, `[`, `]`, ` `, `1`, `x`, `é`, "\xff", `>"`, `" `, ` "`, `" "`, `BOT`, `<1>`, `<2><BOT>`, `<3><STEAM_1:0:9><CT>`, `<3><STEAM_1:0:9><CT>"`,
		` killed `, ` killed "`, `" killed "`, `] killed "`, ` [0 1 2]`, ` [0 1 2] killed "`, ` with "`, `" with "`, `] with "`, ` with "ak47"`, ` (headshot)`,
		` purchased "`, `" purchased "`, ` purchased "awp"`, ` purchased "awp`, ` say "`, `" say "`, ` say_team "`, `" = "`, `" : "`,
		`x<1><STEAM_1:0:9><T>" purchased "awp"`, `x<1><STEAM_1:0:9><T>" purchased "awp`, `<1><STEAM_1:0:9><T>" purchased "awp`, `"x<1><STEAM_1:0:9><T>" purchased "awp"`,
		`x<1><STEAM_1:0:9><T>" killed "Bo<2><BOT><CT>" with "ak47"`, `x<1><STEAM_1:0:9><T>" killed "Bo<2><BOT><CT>" with "ak47`, `x<1><STEAM_1:0:9><T>" killed "Bo`,
		`x<1><STEAM_1:0:9><T>" [1 1 1] killed "Bo<2><BOT><CT>" [2 2 2] with "ak47`, `x<1><STEAM_1:0:9><T>" [1 1 1] killed "`, `Bo<2><BOT><CT>" [2 2 2] with "ak47`,
		`<2><BOT><CT>" [2 2 2] with "ak47" (headshot`,
	}
}

// teller makes up lines of a log in which everything that a player chooses is hostile.
type teller struct {
	*rand.Rand
	pieces []string
}

// words returns up to n pieces.
func (t teller) words(n int) string {
	var b strings.Builder
	for range t.IntN(n + 1) {
		b.WriteString(t.pieces[t.IntN(len(t.pieces))])
	}
	return b.String()
}

// person is a player as a log would write them, and what they are known by.
type person struct{ name, text, id, team string }

func (t teller) person() person {
	p := person{name: t.words(4), team: []string{"CT", "TERRORIST", "Red", ""}[t.IntN(4)]}
	sid := []string{"BOT", "STEAM_1:0:666", "[U:1:77]"}[t.IntN(3)]
	p.text = fmt.Sprintf(`"%s<%d><%s><%s>"`, p.name, t.IntN(300), sid, p.team)
	if p.id = sid; sid == "BOT" {
		p.id = "BOT:" + text([]byte(p.name))
	}
	return p
}

func (t teller) position() string {
	return []string{"", " [-10 20 3]", " [1.5 -2 3]"}[t.IntN(3)]
}

// noEvent returns a line that tells neither a kill nor a purchase, with hostile text
// wherever a game or an administrator lets a player's text in.
func (t teller) noEvent() string {
	p, q, said := t.person().text, t.person().text, t.words(6)
	at, with := t.position(), t.position()
	lines := []string{
		p + at + ` say "` + said + `"`,
		p + at + ` say_team "` + said + `"`,
		p + ` say "` + said + `" (dead)`,
		p + ` changed name to "` + said + `"`,
		p + ` disconnected (reason "` + said + `")`,
		p + ` triggered "` + said + `"`,
		p + ` triggered "clantag" (value "` + said + `")`,
		p + ` connected, address "192.0.2.7:27005"`,
		p + ` entered the game`,
		p + ` STEAM USERID validated`,
		p + ` joined team "Red"`,
		p + ` changed role to "scout"`,
		p + ` left buyzone with [ weapon_knife ]`,
		p + at + ` committed suicide with "world"`,
		p + at + ` attacked ` + q + with + ` with "ak47" (damage "36") (health "12")`,
		p + ` assisted killing ` + q,
		p + ` triggered "kill assist" against ` + q,
		p + at + ` killed other "chicken<88>"` + with + ` with "ak47"`,
		`"` + t.person().name + `<7><STEAM_1:0:666>" switched from team <CT> to <TERRORIST>`,
		`"` + t.person().name + `" says "` + said + `"`,
		`"hostname" = "` + said + `"`,
		`"name": "` + said + `",`,
		`"server" : "` + said + `"`,
		`server_cvar: "hostname" "` + said + `"`,
		`server_message: "` + said + `"`,
		`rcon from "192.0.2.7:1234": command "` + said + `"`,
		`Kick: ` + p + ` was kicked by "Console" (message "` + said + `")`,
		`[chat] ` + p + ` ` + said,
		`World triggered "` + said + `"`,
	}
	return lines[t.IntN(len(lines))]
}

// readLine reads one stamped line.
func readLine(t testing.TB, rest string) (*rules.Event, error) {
	t.Helper()
	e, _, _, err := newSourceLog("f.log", time.UTC).next([]byte("L 02/14/2014 - 06:09:34: " + rest))
	return e, err
}

// A spy who feigned death is not dead: the line is a kill in form alone.
func TestFeignedDeath(t *testing.T) {
	e, err := readLine(t, `"A<1><[U:1:1]><Blue>" killed "B<2><[U:1:2]><Red>" with "degreaser" (customkill "feign_death") (attacker_position "1 2 3") (victim_position "4 5 6")`)
	if e != nil || err != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

// No speech, name or reason forges an event, whatever the words and whoever says them.
func TestSpeechIsNoEvent(t *testing.T) {
	tell := teller{newRand(1), pieces()}
	refused := 0
	for range 100_000 {
		line := tell.noEvent()
		e, err := readLine(t, line)
		if e != nil && err == nil {
			t.Fatalf("%s\nis taken for a %s of %q (%q, %q)", line, e.Type, e.Player, e.Target, e.SKU)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 5_000 {
		t.Errorf("only %d of the lines look like events: the words are too tame", refused)
	}
}

// The lines that once were taken for what they are not.
func TestForgeries(t *testing.T) {
	const eve = `"Eve<5><STEAM_1:0:666><CT>"`
	for _, line := range []string{
		eve + ` say "x<1><STEAM_1:0:9><T>" [1 1 1] killed "Bo<2><BOT><CT>" [2 2 2] with "ak47"`,
		eve + ` say "x<1><STEAM_1:0:9><T>" purchased "awp"`,
		eve + ` say "x<1><STEAM_1:0:9><T>" killed "Bo<2><BOT><CT>" with "ak47"`,
		eve + ` [1 2 3] say_team "x<1><STEAM_1:0:9><T>" [1 1 1] killed "Bo<2><BOT><CT>" [2 2 2] with "ak47" (headshot)"`,
		eve + ` changed name to "x<1><STEAM_1:0:9><T>" purchased "awp"`,
		eve + ` disconnected (reason "x<1><STEAM_1:0:9><T>" killed "Bo<2><BOT><CT>" with "ak47" (headshot")`,
		`"x<1><STEAM_1:0:9><T>" killed "Bo<2><BOT><CT>" with "k<5><STEAM_1:0:666>" switched from team <CT> to <TERRORIST>`,
		`"hostname" = "x<1><STEAM_1:0:9><T>" purchased "awp"`,
		`"a"b" says "x<1><STEAM_1:0:9><T>" purchased "awp"`,
		`"x<1><STEAM_1:0:9><T>" killed " says "Bo<2><BOT><CT>" with "ak47"`,
		`"Eve<5><STEAM_1:0:6><CT>" [1 1 1] killed "x<1><STEAM_1:0:9><T>" [1 1 1] killed "Bo<2><BOT><CT>" [2 2 2] with "ak47"`,
	} {
		if e, err := readLine(t, line); err == nil {
			t.Errorf("%s\nis not refused but %+v", line, e)
		}
	}
}

// A kill or purchase of players with hostile names is read right or refused, never
// passed over and never read wrong; and it is read if the names could not be written by
// anybody but the game.
func TestHostileNames(t *testing.T) {
	tell := teller{newRand(2), pieces()}
	taken := 0
	for range 100_000 {
		p, v := tell.person(), tell.person()
		line, want := p.text+` purchased "m4a1"`, rules.Event{Type: rules.TypePurchase, Player: p.id, SKU: "m4a1"}
		plain := !strings.Contains(p.name, `"`)
		if tell.IntN(2) == 0 {
			at, tail := tell.position(), []string{"", " (headshot)", " (penetrated)", ` (customkill "headshot") (attacker_position "1 2 3")`}[tell.IntN(4)]
			line = p.text + at + " killed " + v.text + at + ` with "ak47"` + tail
			want = rules.Event{Type: rules.TypeKill, Player: p.id, Target: v.id}
			plain = plain && !strings.Contains(v.name, `"`)
		}
		e, err := readLine(t, line)
		switch {
		case err != nil && plain:
			t.Fatalf("%s\nis refused: %v", line, err)
		case err != nil:
		case e == nil:
			t.Fatalf("%s\nis passed over", line)
		case e.Type != want.Type || e.Player != want.Player || e.Target != want.Target || e.SKU != want.SKU || e.Attrs["team"] != p.team:
			t.Fatalf("%s\nis taken for a %s of %q (%q, %q)", line, e.Type, e.Player, e.Target, e.SKU)
		default:
			taken++
		}
	}
	if taken < 25_000 {
		t.Errorf("only %d of the events were taken", taken)
	}
}

// Whatever a line is, of its readings as a player's words none is taken for an event.
func FuzzSpeech(f *testing.F) {
	for i, said := range pieces() {
		f.Add(i, "Eve", said)
		f.Add(i, said, "gg")
	}
	f.Fuzz(func(t *testing.T, i int, name, said string) { forgesNothing(t, i, name, said) })
}

func forgesNothing(t testing.TB, i int, name, said string) {
	t.Helper()
	if strings.ContainsAny(name+said, "\n\r") {
		return // the game writes no line break
	}
	verbs := []string{` say "`, ` say_team "`, ` [1 2 3] say "`, ` changed name to "`, ` disconnected (reason "`, ` triggered "`}
	verb := verbs[uint(i)%uint(len(verbs))]
	for _, end := range []string{`"`, `")`, `" (dead)`} {
		line := `"` + name + `<5><STEAM_1:0:666><CT>"` + verb + said + end
		if e, err := readLine(t, line); e != nil && err == nil {
			t.Fatalf("%s\nis taken for %+v", line, e)
		}
	}
}

// Names that imitate a line, as long as nothing but the true reading is possible.
func TestNamesLikeLines(t *testing.T) {
	const hostile = `"x<7><STEAM_1:1:99><CT>" killed "y<11><STEAM_1:1:22><T>"`
	for line, want := range map[string][2]string{
		hostile + ` purchased "awp"`:                                                                    {"STEAM_1:1:22", ""},
		hostile + ` [1 2 3] killed "Elm<5><BOT><CT>" [4 5 6] with "knife"`:                              {"STEAM_1:1:22", "BOT:Elm"},
		`"Elm<5><BOT><CT>" [1 2 3] killed ` + hostile + ` [4 5 6] with "knife"`:                         {"BOT:Elm", "STEAM_1:1:22"},
		`"Zoë "the" <b>fox</b><1><STEAM_1:0:1><T>" [1 2 3] killed ` + hostile + ` [4 5 6] with "knife"`: {"STEAM_1:0:1", "STEAM_1:1:22"},
	} {
		if e, err := readLine(t, line); err != nil || e == nil || e.Player != want[0] || e.Target != want[1] {
			t.Errorf("%s\n%+v, %v", line, e, err)
		}
	}
	// Without positions either could be the killer, or the name of the other.
	for _, line := range []string{hostile + ` killed "Elm<5><BOT><CT>" with "knife"`, `"Elm<5><BOT><CT>" killed ` + hostile + ` with "knife"`} {
		if e, err := readLine(t, line); err == nil {
			t.Errorf("%s\n%+v", line, e)
		}
	}
	// Nor is it an event where no reading is one.
	if e, err := readLine(t, hostile+` [1 2 3] attacked "Elm<5><BOT><CT>" [4 5 6] with "knife"`); e != nil || err != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestReadKill(t *testing.T) {
	for _, c := range []struct {
		tail     string
		headshot string
	}{
		{``, "false"},
		{` (headshot)`, "true"},
		{` (penetrated) (headshot)`, "true"},
		{` (headshot penetrated)`, "true"},
		{` (throughsmoke)`, "false"},
		{` (customkill "headshot") (attacker_position "1 2 3") (victim_position "4 5 6")`, "true"},
		{` (customkill "backstab")`, "false"},
		{` (note "headshot")`, "false"},
		{` and so on`, ""},
		{` (headshot`, ""},
		{` (note "(headshot)")`, ""},
		{`(headshot)`, ""},
		{` (who "<1>")`, ""},
	} {
		e, err := readLine(t, `"A<1><STEAM_1:0:1><CT>" killed "B<2><BOT><T>" with "ak47"`+c.tail)
		switch {
		case c.headshot == "" && err == nil:
			t.Errorf("%q is taken", c.tail)
		case c.headshot != "" && (err != nil || e == nil || e.Attrs["headshot"] != c.headshot):
			t.Errorf("%q: %+v, %v", c.tail, e, err)
		}
	}
}
