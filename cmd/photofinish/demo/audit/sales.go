package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"photofinish/rules"
)

// attempts returns the attempts to buy that truly happened.
func (a *auditor) attempts(sku string) truth {
	return a.truth.counting(func(m *Event) bool { return m.Type == rules.TypePurchase && m.SKU == sku })
}

// saleOf returns the contest of a sale.
func (a *auditor) saleOf(rule *rules.Rule) contest {
	return contest{rule.ID, "world", rule.Window.Fixed}
}

// checkSales checks the stock, after every cut, and that nobody was passed over.
func (a *auditor) checkSales(stands *standing) {
	c := a.check("G6", "no more is sold than there is, and nobody is passed over")
	sold, answered := int64(0), 0
	var stock int64
	for i := range a.Ruleset.Rules {
		rule := &a.Ruleset.Rules[i]
		if rule.Kind != rules.Sale {
			continue
		}
		k := a.saleOf(rule)
		tried, got := a.attempts(rule.SKU), stands.attempts[k]
		if rule.Queue == rules.QueueLottery && rule.Window.Fixed.Closes > a.through {
			tried = nil // not drawn yet
		}
		units := reserved(got)
		if stands.sold[k] > rule.Stock {
			c.Problem("%s: %d were reserved at once, of %d", rule.ID, stands.sold[k], rule.Stock)
		}
		buyers := len(tried.bySubject(playerOf))
		if want := min(rule.Stock, int64(buyers)); units != want {
			c.Problem("%s: %d buyers, and %d of %d are sold", rule.ID, buyers, units, rule.Stock)
		}
		holds := a.checkAnswers(c, rule, tried, got)
		if rule.Queue == rules.QueueArrival {
			passedOver(c, rule.ID, tried, got, holds)
		}
		sold, stock, answered = sold+units, stock+rule.Stock, answered+len(got)
	}
	c.Checked = fmt.Sprintf("%d attempts answered, %d of %d units reserved, the stock counted after each cut", answered, sold, stock)
}

// checkAnswers checks that every attempt is answered and no player has more than
// the rule allows. It returns what players hold.
func (a *auditor) checkAnswers(c *Check, rule *rules.Rule, tried truth, got map[rules.Identity]rules.Entry) map[string]int64 {
	holds := map[string]int64{}
	for _, m := range tried {
		e, ok := got[m.Identity()]
		if !ok {
			c.Problem("%s: %s tried to buy and has no answer", rule.ID, m.Player)
			continue
		}
		if e.Allocation.Player != m.Player {
			c.Problem("%s: the attempt %s/%s of %s is answered to %s", rule.ID, m.Server, m.ID, m.Player, e.Allocation.Player)
		}
		if e.Allocation.State == rules.Reserved {
			holds[m.Player] += e.Allocation.Units
			if holds[m.Player] > rule.PerPlayer {
				c.Problem("%s: %s holds %d", rule.ID, m.Player, holds[m.Player])
			}
		}
	}
	if len(got) != len(tried) {
		c.Problem("%s: %d attempts happened, %d are answered", rule.ID, len(tried), len(got))
	}
	return holds
}

// passedOver finds who went away with nothing though somebody was served who
// certainly came later.
func passedOver(c *Check, rule string, tried truth, got map[rules.Identity]rules.Entry, holds map[string]int64) {
	// An attempt never counts as earlier than one its server saw before, so a whole
	// server is as uncertain as its worst estimate.
	errNs := map[string]rules.Instant{}
	for _, m := range tried {
		errNs[m.Server] = max(errNs[m.Server], rules.Instant(m.ErrNs))
	}
	for _, served := range tried {
		if got[served.Identity()].Allocation == nil || got[served.Identity()].Allocation.State != rules.Reserved {
			continue
		}
		for _, m := range tried {
			if holds[m.Player] == 0 && m.Happened+errNs[m.Server] < served.Happened-errNs[served.Server] {
				c.Problem("%s: %s has one, and %s came certainly earlier and has none", rule, served.Player, m.Player)
			}
		}
	}
}

// checkRaffle draws the lots again, from the seed that was sealed before.
func (a *auditor) checkRaffle(stands *standing) {
	rule := a.Ruleset.Rule("arena-ticket")
	k := a.saleOf(rule)
	if k.window.Closes > a.through {
		return // the world ended before
	}
	c := a.check("G3", "the raffle can be drawn again, and its seed was sealed before it closed")
	digest, sealed := "", false
	for i := range a.Entries {
		e := &a.Entries[i]
		if e.Kind == rules.KindCommitment && (contest{e.Rule, string(e.Scope), e.Window}) == k {
			digest = e.Commitment.Digests[0]
			sealed = a.Recorded[e.Cut].AsOf < k.window.Closes // when the cut of that hour was settled
		}
	}
	if !sealed {
		c.Problem("the seed was not sealed before the raffle closed")
	}
	winners := map[string]bool{}
	seed := []byte(nil)
	for _, e := range stands.attempts[k] { // a set
		sum := sha256.Sum256(seedOf(&e))
		if hex.EncodeToString(sum[:]) != digest {
			c.Problem("the seed shown to %s is not the one that was sealed", e.Allocation.Player)
		}
		seed = seedOf(&e)
		if e.Allocation.State == rules.Reserved {
			winners[e.Allocation.Player] = true
		}
	}
	var players []string
	for player := range a.attempts(rule.SKU).bySubject(playerOf) {
		players = append(players, player)
	}
	slices.SortFunc(players, func(x, y string) int { return bytes.Compare(lot(seed, k, x), lot(seed, k, y)) })
	for i, player := range players {
		if drawn := int64(i) < rule.Stock; drawn != winners[player] {
			c.Problem("%s: drawn is %t, in the ledger %t", player, drawn, winners[player])
		}
	}
	c.Checked = fmt.Sprintf("%d players, %d drawn again by SHA-256 of the seed", len(players), rule.Stock)
}

func seedOf(e *rules.Entry) []byte {
	seed, err := hex.DecodeString(e.Allocation.Seed)
	if err != nil {
		return nil
	}
	return seed
}

// lot is what a player draws, by the recipe that the project publishes: SHA-256 of
// seed, rule, scope and name, each after its length, and the window's ends; numbers
// in eight bytes, little end first.
func lot(seed []byte, k contest, player string) []byte {
	var b []byte
	for _, text := range []string{string(seed), k.rule, k.scope, player} {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(k.window.Opens))
	b = binary.LittleEndian.AppendUint64(b, uint64(k.window.Closes))
	sum := sha256.Sum256(b)
	return sum[:]
}
