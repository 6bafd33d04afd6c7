package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/rules"
)

// The players and guilds of the story.
const (
	ana, bo, chen = "Ana", "Bo", "Chen"
	ironWolves    = "Iron Wolves"
	jadeLotus     = "Jade Lotus"
	scriptName    = "<script>alert(1)</script>"
	everyoneName  = "@everyone"
	mallory       = "Mallory"
)

// When what goes wrong begins and ends, from the epoch.
const (
	lineDown, lineUp     = 30 * time.Minute, 70 * time.Minute             // of the us node to the log
	strayFrom, strayTo   = 10 * time.Minute, 75 * time.Minute             // the batch of us-3 that lies about
	cutOffFrom, cutOffTo = 80 * time.Minute, 4*time.Hour + 20*time.Minute // of region asia
	spoolCrashAt         = 2*time.Hour + 15*time.Minute                   // of node eu
	forwardCrashAt       = 2*time.Hour + 30*time.Minute                   // of node us
	settlersCrashAfter   = 3                                              // the settlement of this hour
	settlersRaceAfter    = 4                                              // and of this
	saleAt               = 15 * time.Minute                               //
	photoFinishAt        = 41*time.Minute + 23*time.Second + 400*time.Millisecond
	photoFinishGap       = 12 * time.Millisecond // less than what the lines' delay leaves open
	quietEnd             = 5 * time.Second       // before the end of the world: every event is in a cut
)

// author makes the events of a world.
type author struct {
	rng     *rand.Rand
	end     time.Duration
	servers []*server
	notes   []note
}

// note is what a chronicler of the world would write down.
type note struct {
	at   time.Duration
	text string
}

func (a *author) tell(at time.Duration, format string, args ...any) {
	a.notes = append(a.notes, note{at, fmt.Sprintf(format, args...)})
}

func (a *author) server(name string) *server {
	i := slices.IndexFunc(a.servers, func(s *server) bool { return s.name == name })
	return a.servers[i]
}

// happen adds an event, unless the world has ended by then.
func (a *author) happen(at time.Duration, on string, e rules.Event) *audit.Event {
	m := &audit.Event{Event: e, Happened: epoch.Add(at)}
	m.Count = max(m.Count, 1)
	if at < a.end-quietEnd {
		s := a.server(on)
		m.Server, m.Region = s.name, s.region
		s.events = append(s.events, m)
	}
	return m
}

func kill(player, guild, target string, count int64) rules.Event {
	e := rules.Event{Type: rules.TypeKill, Player: player, Guild: guild, Target: target, Count: count}
	classes := []string{"mage", "warrior", "hunter", "bard"}
	class := classes[0]
	if player != ana {
		class = classes[len(player)%len(classes)]
	}
	e.Attrs = map[string]string{"class": class}
	return e
}

// hunt lets a player slay exactly total of a target, the last few at the end.
func (a *author) hunt(on, player, guild, target string, from, finish time.Duration, total int64, kills int) {
	const last = 5
	left := total - last
	for i := kills - 1; i > 0 && left > 0; i-- {
		count := left
		if i > 1 {
			count = min(left, 1+a.rng.Int64N(max(2*left/int64(i)-1, 1)))
		}
		left -= count
		at := from + time.Duration(a.rng.Int64N(int64(finish-2*time.Second-from)))
		a.happen(at, on, kill(player, guild, target, count))
	}
	a.happen(finish, on, kill(player, guild, target, last))
}

// raid lets members of a guild slay total dragons, on the servers where they play.
func (a *author) raid(guild string, members map[string]string, from, finish time.Duration, total int) {
	var on []string
	for _, s := range a.servers {
		if members[s.name] != "" {
			on = append(on, s.name)
		}
	}
	for range total - 1 {
		s := on[a.rng.IntN(len(on))]
		a.happen(from+time.Duration(a.rng.Int64N(int64(finish-from-2*time.Second))), s, kill(members[s], guild, "dragon", 1))
	}
	a.happen(finish, on[0], kill(members[on[0]], guild, "dragon", 1))
}

// write makes the events of the story: what every seed has in common.
func (a *author) write() {
	a.tell(saleAt, "three mounts go on sale, and 14 players want one within the same second")
	a.sale()
	a.happen(20*time.Minute+500*time.Millisecond, "eu-2", kill("Dara", "", "wyrm", 1))
	a.happen(20*time.Minute+500*time.Millisecond, "eu-2", kill("Eli", "", "wyrm", 1))
	a.tell(20*time.Minute, "Dara and Eli slay a wyrm at the same instant on eu-2, which saw Dara first")
	a.tell(lineDown, "the us node loses its line to the log; it goes on taking events into its spool")
	a.hunt("eu-1", ana, ironWolves, "rabbit", time.Minute, photoFinishAt, 1000, 90)
	a.hunt("us-1", bo, ironWolves, "rabbit", time.Minute, photoFinishAt+photoFinishGap, 1000, 90)
	a.hunt("asia-2", chen, jadeLotus, "rabbit", time.Minute, photoFinishAt+22*time.Second, 1000, 90)
	a.tell(photoFinishAt, "Ana (eu-1) and Bo (us-1) slay their 1,000th rabbit %d ms apart", photoFinishGap.Milliseconds())
	a.happen(50*time.Minute, "asia-1", kill("Gu", jadeLotus, "wyrm", 1))
	a.happen(50*time.Minute+3*time.Second, "asia-3", kill("Ito", jadeLotus, "wyrm", 1))
	a.hunt("us-2", scriptName, "", "wolf", 10*time.Minute, 70*time.Minute, 900, 60)

	a.tell(lineUp, "the us node is back and forwards what it kept")
	a.tell(strayTo, "a batch of us-3 that was sent before %s arrives: in it, the earliest buyer of all", clockText(strayFrom+10*time.Minute))
	a.tell(cutOffFrom, "region asia is cut off; its servers play on and keep their events")
	a.raid(jadeLotus, map[string]string{"asia-1": "Gu", "asia-3": "Ito"}, 85*time.Minute, 104*time.Minute+30*time.Second, 50)
	a.raid(ironWolves, map[string]string{"eu-1": ana, "eu-2": "Dara", "us-1": bo}, 61*time.Minute, 110*time.Minute, 50)
	a.tell(104*time.Minute, "in asia, the guild Jade Lotus slays its 50th dragon, and nobody elsewhere can know")
	a.tell(110*time.Minute, "the guild Iron Wolves slays its 50th dragon")
	a.happen(115*time.Minute, "us-3", kill("Finn", "", "wyrm", 1))
	a.hunt("us-2", scriptName, "", "wolf", 70*time.Minute, 118*time.Minute, 420, 50)
	a.hunt("asia-2", "Hana", jadeLotus, "wolf", 82*time.Minute, 117*time.Minute, 640, 60)

	a.tell(spoolCrashAt, "the eu node crashes after it has spooled a batch and before it says so")
	a.tell(forwardCrashAt, "the us node crashes between sending events to the log and noting that it did")
	a.hunt("eu-2", everyoneName, "", "boar", 125*time.Minute, 170*time.Minute, 500, 50)
	a.hunt("asia-2", "Hana", jadeLotus, "wolf", 122*time.Minute, 174*time.Minute, 380, 60)
	a.rival(2*time.Hour + 50*time.Minute)
	a.rubbish(3*time.Hour + 12*time.Minute)

	a.tell(4*time.Hour, "two arena tickets are raffled until 05:00")
	a.raffle()
	a.tell(cutOffTo, "region asia is back and sends three hours of events, out of order")
}

// sale lets players try to buy a mount within one second.
func (a *author) sale() {
	buyers := []string{"Kim", "Lea", "Max", "Noor", "Oto", "Pia", "Quin", "Rosa", "Sven", "Tam", "Uma", "Vito", "Wen"}
	for i, player := range buyers {
		at := saleAt + 200*time.Millisecond + time.Duration(a.rng.Int64N(int64(790*time.Millisecond)))
		on := a.servers[(i*2+1)%len(a.servers)].name
		if on == "us-3" {
			on = "eu-3"
		}
		a.buy(at, on, player, "celestial-mount")
		if i%4 == 0 { // a double click
			a.buy(at+80*time.Millisecond, on, player, "celestial-mount")
		}
	}
	a.buy(saleAt+20*time.Millisecond, "us-3", "Nia", "celestial-mount")
}

func (a *author) buy(at time.Duration, on, player, sku string) {
	a.happen(at, on, rules.Event{Type: rules.TypePurchase, Player: player, SKU: sku})
}

// raffle lets players ask for a ticket, some of them twice.
func (a *author) raffle() {
	for i, player := range []string{"Kim", "Lea", "Max", everyoneName, "Oto", "Pia", "Gu", "Hana", "Ito", "Zoe", "Yan", bo} {
		for range 1 + i%2 {
			at := 4*time.Hour + time.Minute + time.Duration(a.rng.Int64N(int64(58*time.Minute)))
			a.buy(at, a.servers[i%len(a.servers)].name, player, "arena-ticket")
		}
	}
}

// rival makes an event that will be sent under the ID of an earlier one. If it were
// to count, its player would top the hour.
func (a *author) rival(at time.Duration) {
	a.happen(at, "eu-3", kill(mallory, "", "wolf", 2000)).Rival = true
	a.tell(at, "eu-3 was restored from a backup: it uses an ID twice, for 2,000 kills of Mallory")
}

// rubbish makes events that must be refused, each alone.
func (a *author) rubbish(at time.Duration) {
	bad := func(why string, e rules.Event) {
		at += time.Second
		a.happen(at, "us-2", e).Bad = why
	}
	future := kill(mallory, "", "rabbit", 1)
	future.At = epoch.Add(at + 2*time.Hour)
	bad("two hours in the future", future)
	past := kill(mallory, "", "rabbit", 1)
	past.At = 1
	bad("in 1970", past)
	bad("nobody killed it", kill("", "", "rabbit", 1))
	bad("too many", kill(mallory, "", "rabbit", 1<<40))
	bad("a name that rings", kill("Mal\alory", "", "rabbit", 1))
	bad("a name that is no text", kill("Mal\xff", "", "rabbit", 1))
	bad("no such type", rules.Event{Type: "???", Player: mallory})
	bad("an ID of a kilobyte", rules.Event{Type: rules.TypeKill, Player: mallory, ID: strings.Repeat("x", 1024)})
	a.tell(at, "us-2 sends rubbish among good events, some of it from the future")
}

// clockText writes a time of the world.
func clockText(at time.Duration) string { return epoch.Add(at).Time().Format("15:04") }
