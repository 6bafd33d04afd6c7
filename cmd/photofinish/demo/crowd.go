package demo

import (
	"time"
)

// The crowd: players who are not in the story.
const (
	crowdPerServer = 9
	crowdPause     = 150 * time.Second // mean time between a usual player's events
)

// crowd adds what ordinary players do, on every server until the end.
func (a *author) crowd() {
	first := []string{"Bel", "Cor", "Dor", "Fen", "Gar", "Hol", "Jar", "Kel", "Lor", "Mor", "Nol", "Per", "Ras", "Sol", "Tor"}
	second := []string{"an", "bert", "dis", "gar", "ia", "mir", "wyn"}
	guilds := []string{"", "", ironWolves, jadeLotus, "Salt Herons", "Night Bakers"}
	targets := []string{"rabbit", "rabbit", "wolf", "boar", "bandit"}
	order := a.rng.Perm(len(first) * len(second))
	for i, s := range a.servers {
		for p := range crowdPerServer {
			n := order[i*crowdPerServer+p]
			player, guild := first[n%len(first)]+second[n/len(first)], guilds[a.rng.IntN(len(guilds))]
			skill := 0.4 + 1.8*a.rng.Float64()
			for at := a.pause(skill); at < a.end; at += a.pause(skill) {
				a.happen(at, s.name, kill(player, guild, targets[a.rng.IntN(len(targets))], 1+a.rng.Int64N(3)))
			}
		}
	}
}

// pause draws the time until a player's next event.
func (a *author) pause(skill float64) time.Duration {
	return time.Second + time.Duration(a.rng.ExpFloat64()/skill*float64(crowdPause))
}
