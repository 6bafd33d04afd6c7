package announce

import (
	"fmt"
	"strings"
)

// relation says what separates two finishes that stand next to each other.
type relation int

const (
	apart   relation = iota // their intervals do not meet
	tied                    // nothing certain
	ordered                 // their intervals meet, but one server saw both and has an order
)

// between returns what the ledger says of two neighbours in a picture.
func between(a, b *runner) relation {
	switch {
	case a.place > 0 && a.place == b.place:
		return tied
	case !overlap(&a.Claim, &b.Claim):
		return apart
	case a.tied:
		return tied
	}
	return ordered
}

// text says the relation beside a bracket.
func (r relation) text() string {
	if r == ordered {
		return "server order decides"
	}
	return "cannot be told apart"
}

// verdict says in a sentence or two what the picture shows.
func verdict(row []runner) string {
	first, second := &row[0], &row[1]
	who := shown(first.Subject, verdictNameColumns)
	other := shown(second.Subject, verdictNameColumns)
	gap := duration(int64(second.Point - first.Point))
	sharing := 1
	for sharing < len(row) && row[sharing].place == first.place {
		sharing++
	}
	switch between(first, second) {
	case tied:
		names := who + " and " + other
		if sharing > 2 {
			names = fmt.Sprintf("%s and %d others", who, sharing-1)
		}
		text := names + " cannot be told apart: "
		switch {
		case sharing > 1:
			return text + fmt.Sprintf("they share place %d.", first.place)
		case first.drawn:
			return text + fmt.Sprintf("the lot gave place %d to %s.", first.place, who)
		}
		return text + fmt.Sprintf("%s was likelier first, by %s.", who, gap)
	case ordered:
		if first.Decided.Server == second.Decided.Server {
			return fmt.Sprintf("%s beat %s: one server saw both, and its own order decides.", who, other)
		}
		return fmt.Sprintf("%s beat %s: the order of the servers on which they met decides.", who, other)
	case apart:
	}
	switch {
	case second.Point == first.Point:
		return fmt.Sprintf("%s beat %s.", who, other)
	case second.Point < first.Point: // found only after the award was final
		return fmt.Sprintf("%s holds place %d, though %s was %s earlier.", who, first.place, other, duration(int64(first.Point-second.Point)))
	}
	return fmt.Sprintf("%s beat %s by %s.", who, other, gap)
}

// wrapped breaks a text at its spaces into as few lines of at most so many columns
// as will do, and these of about one length.
func wrapped(text string, columns int) []string {
	lines := broken(text, columns)
	for columns--; columns > 0; columns-- {
		shorter := broken(text, columns)
		if len(shorter) > len(lines) {
			break
		}
		lines = shorter
	}
	return lines
}

func broken(text string, columns int) []string {
	var lines []string
	line, used := "", 0
	for word := range strings.SplitSeq(text, " ") {
		w := 0
		for _, c := range word {
			w += width(string(c))
		}
		if used > 0 && used+1+w > columns {
			lines = append(lines, line)
			line, used = "", 0
		}
		if used > 0 {
			line += " "
			used++
		}
		line += word
		used += w
	}
	return append(lines, line)
}
