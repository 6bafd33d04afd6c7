package scenario

import (
	"fmt"
	"strings"
	"time"

	"photofinish/rules"
)

// wording writes entries of the ledger in words, one line each; boards take a line
// for each of theirs.
type wording struct {
	log     []rules.Record
	text    strings.Builder
	entries map[string]string // who, by the ID of the entry
	effects map[string]int    // by key, numbered as they appear
}

func newWording(s *scenario) *wording {
	return &wording{log: s.log, entries: map[string]string{}, effects: map[string]int{}}
}

func (w *wording) add(cut *rules.Cut, e *rules.Entry) {
	w.entries[e.ID] = fmt.Sprintf("%s of cut %d", subjectOf(e), e.Cut)
	line := fmt.Sprintf("cut %d: %s", e.Cut, e.Kind)
	if e.Rule != "" {
		line += " " + e.Rule + scopeWords(e.Scope) + windowWords(e.Window)
	}
	switch e.Kind {
	case rules.KindAward:
		line += w.award(e)
	case rules.KindBoard:
		line += w.board(e.Board)
	case rules.KindPrize:
		line += fmt.Sprintf("%s: %s", placeWords(e.Prize.Place), e.Prize.Subject) + w.effect(e, e.Prize.Item)
	case rules.KindAllocation:
		line += w.allocation(e)
	case rules.KindCorrection:
		line += w.correction(e.Correction)
	case rules.KindCompensation:
		line += w.compensation(e)
	case rules.KindConflict:
		line += w.conflict(e.Conflict)
	case rules.KindSettled:
		line += settledWords(cut, e.Settled)
	case rules.KindCommitment:
		line += commitmentWords(e.Commitment)
	case rules.KindWaiting:
		line += waitingWords(e.Waiting)
	}
	w.text.WriteString(line + "\n")
}

// subjectOf returns whom an entry names.
func subjectOf(e *rules.Entry) string {
	switch {
	case e.Award != nil:
		return e.Award.Claim.Subject
	case e.Allocation != nil:
		return e.Allocation.Player
	}
	return "the " + string(e.Kind)
}

func scopeWords(scope rules.Scope) string {
	if scope == rules.World {
		return ""
	}
	return " in " + strings.Replace(string(scope), ":", " ", 1)
}

func windowWords(w rules.Window) string {
	if w.Forever() {
		return ""
	}
	return " " + timeWords(w.Opens) + " to " + timeWords(w.Closes)
}

// timeWords writes a time as a scenario file has it.
func timeWords(i rules.Instant) string {
	text := strings.TrimSuffix(i.String(), "Z")
	if rest, ok := strings.CutPrefix(text, year); ok {
		text = strings.TrimPrefix(rest, firstDay+"T")
	}
	return strings.TrimSuffix(text, ":00")
}

// aboutWords writes a time and how far before and after it the truth can lie.
func aboutWords(at, earliest, latest rules.Instant) string {
	text := timeWords(at)
	early, late := time.Duration(at-earliest), time.Duration(latest-at)
	if early == late && early > 0 {
		return text + "±" + spanWords(late)
	}
	if early != 0 {
		text += "-" + spanWords(early)
	}
	if late != 0 {
		text += "+" + spanWords(late)
	}
	return text
}

// spanWords writes a duration without zeros at its end.
func spanWords(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if rest, ok := strings.CutSuffix(text, zero); ok {
			text = rest + zero[:1]
		}
	}
	return text
}

func placeWords(place int) string {
	if place == 0 {
		return ""
	}
	return fmt.Sprintf(", place %d", place)
}

// effect says what an entry gives or takes; an entry without an item has no prize.
func (w *wording) effect(e *rules.Entry, item string) string {
	if item == "" {
		item = "no prize"
	}
	if e.Key == "" {
		return "; " + item
	}
	if w.effects[e.Key] == 0 {
		w.effects[e.Key] = len(w.effects) + 1
	}
	return fmt.Sprintf("; %s (effect %d)", item, w.effects[e.Key])
}

func claimWords(c *rules.Claim) string {
	return c.Subject + " " + aboutWords(c.Point, c.Earliest, c.Latest)
}

// lagWords names nodes and since when they have not told of everything.
func lagWords(lags []rules.Lag) string {
	words := make([]string, len(lags))
	for i, l := range lags {
		words[i] = l.Node
		if l.Region != "" && l.Region != l.Node {
			words[i] += " (" + l.Region + ")"
		}
		words[i] += " since " + timeWords(l.Since)
	}
	return strings.Join(words, ", ")
}

func (w *wording) award(e *rules.Entry) string {
	a := e.Award
	text := placeWords(a.Place) + ": " + claimWords(&a.Claim) + ", "
	if a.Tied {
		text += "tied, "
	}
	if a.Seed != "" {
		text += "drawn, "
	}
	text += string(a.State)
	if a.State == rules.Held {
		text += " until " + timeWords(a.Until)
		if len(a.WaitsFor) > 0 {
			text += ", waits for " + lagWords(a.WaitsFor)
		}
	} else {
		text += w.effect(e, a.Claim.Prize)
	}
	text += w.corrects(a.Corrects) + w.refines(a.Refines)
	for i := range a.RunnersUp {
		if i == 0 {
			text += "; then "
		} else {
			text += ", "
		}
		text += claimWords(&a.RunnersUp[i])
	}
	return text
}

func (w *wording) corrects(id string) string {
	if id == "" {
		return ""
	}
	return "; puts " + w.entries[id] + " right"
}

func (w *wording) refines(id string) string {
	if id == "" {
		return ""
	}
	return "; refines " + w.entries[id]
}

func (w *wording) board(b *rules.Board) string {
	text := strings.TrimPrefix(w.corrects(b.Corrects)+w.refines(b.Refines), ";")
	if len(b.Lacking) > 0 {
		text += " without " + lagWords(b.Lacking)
	}
	text = ":" + text
	for _, l := range b.Lines {
		text += fmt.Sprintf("\n    %d  %s  %s  %s", l.Place, l.Subject, l.Score, timeWords(l.Reached))
		if l.Tied {
			text += "  tied"
		}
		if l.Prize != "" {
			text += "  " + l.Prize
		}
	}
	return text
}

func (w *wording) allocation(e *rules.Entry) string {
	a := e.Allocation
	text := fmt.Sprintf(": %s %s", a.Player, aboutWords(a.Instant, a.Earliest, a.Latest))
	if a.Units != 1 {
		text += fmt.Sprintf(" x%d", a.Units)
	}
	text += ", "
	if a.Tied {
		text += "tied, "
	}
	if a.Seed != "" {
		text += "drawn, "
	}
	text += string(a.State)
	if a.State == rules.Reserved {
		text += w.effect(e, a.Item)
	} else {
		text += ": " + a.Reason
	}
	return text + w.corrects(a.Corrects)
}

func (w *wording) correction(c *rules.Correction) string {
	found := c.Found
	switch {
	case found == "":
		found = "nobody"
	case strings.HasPrefix(found, "sha256:"):
		found = "another board"
	}
	text := fmt.Sprintf("%s: %s was wrong, found %s, %s", placeWords(c.Place), w.entries[c.Corrects], found, c.Policy)
	text += " (" + strings.TrimPrefix(c.Reason, fmt.Sprintf("place %d: ", c.Place)) + ")"
	return text + whoWords(listed{"gains", c.Gains}, listed{"keeps", c.Keeps}, listed{"loses", c.Loses}, listed{"denied", c.Denied})
}

func (w *wording) compensation(e *rules.Entry) string {
	c := e.Compensation
	text := fmt.Sprintf(": %s for %s, because of %s", c.Kind, c.Subject, w.entries[c.Because])
	switch {
	case c.Takes:
		text += w.effect(e, "takes "+c.Item)
	case c.Item != "":
		text += "; " + c.Item
	}
	return text
}

// conflict shows the content that counts, as the scenario wrote it.
func (w *wording) conflict(c *rules.Conflict) string {
	text := fmt.Sprintf(" %s %s", c.Server, c.ID)
	for i := range w.log {
		if r := &w.log[i]; r.Identity() == c.Identity && r.Content == c.Counts {
			return text + fmt.Sprintf(" counts as: %s %s%s %s x%d", r.Type, r.Target, r.SKU, r.Player, r.Count)
		}
	}
	return text
}

func commitmentWords(c *rules.Commitment) string {
	if len(c.Digests) == 1 {
		return ": to the seed of 1 place"
	}
	return fmt.Sprintf(": to the seeds of %d places", len(c.Digests))
}

// waitingWords says what waits for a person.
func waitingWords(w *rules.Waiting) string {
	text := ""
	if w.Subject != "" {
		text = " for " + w.Subject
	}
	if w.FinalAt != 0 {
		text += " until " + timeWords(w.FinalAt)
	}
	text += ": " + w.Reason
	for i := range w.Changes {
		c := &w.Changes[i]
		text += "; "
		if c.Place > 0 {
			text += fmt.Sprintf("place %d: ", c.Place)
		}
		text += strings.TrimPrefix(whoWords(listed{"would gain", c.Gains}, listed{"would keep", c.Keeps}, listed{"would lose", c.Loses}), "; ")
		if c.Item != "" {
			text += " with " + c.Item
		}
	}
	return text
}

// listed is what becomes of some.
type listed struct {
	what string
	who  []string
}

func whoWords(lists ...listed) string {
	text := ""
	for _, said := range lists {
		if len(said.who) > 0 {
			text += "; " + said.what + " " + strings.Join(said.who, ", ")
		}
	}
	return text
}

func settledWords(cut *rules.Cut, s *rules.Settled) string {
	text := fmt.Sprintf(" through %s: %d event", timeWords(cut.Through), s.Events)
	if s.Events != 1 {
		text += "s"
	}
	if s.Late > 0 {
		text += fmt.Sprintf(", %d late", s.Late)
	}
	if s.TooLate > 0 {
		text += fmt.Sprintf(", %d too late", s.TooLate)
	}
	for _, t := range s.Refused {
		text += fmt.Sprintf(", %s refused %d", t.Name, t.Count)
	}
	if lags := cut.Lagging(); len(lags) > 0 && !cut.Complete {
		text += ", waiting for " + lagWords(lags)
	}
	if s.Again != "" {
		text += "; again at once (" + string(s.Again) + ")"
	}
	return text
}
