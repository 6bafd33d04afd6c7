package rules

import (
	"fmt"
	"strings"
	"time"
)

// wording writes entries of the ledger in words, one line each; boards take a line
// for each of theirs.
type wording struct {
	log     []Record
	text    strings.Builder
	entries map[string]string // who, by the ID of the entry
	effects map[string]int    // by key, numbered as they appear
}

func newWording(s *scenario) *wording {
	return &wording{log: s.log, entries: map[string]string{}, effects: map[string]int{}}
}

func (w *wording) add(cut *Cut, e *Entry) {
	w.entries[e.ID] = fmt.Sprintf("%s of cut %d", subjectOf(e), e.Cut)
	line := fmt.Sprintf("cut %d: %s", e.Cut, e.Kind)
	if e.Rule != "" {
		line += " " + e.Rule + scopeWords(string(e.Scope)) + windowWords(e.Window)
	}
	switch e.Kind {
	case KindAward:
		line += w.award(e)
	case KindBoard:
		line += w.board(e.Board)
	case KindPrize:
		line += fmt.Sprintf("%s: %s", placeWords(e.Prize.Place), e.Prize.Subject) + w.effect(e, e.Prize.Item)
	case KindAllocation:
		line += w.allocation(e)
	case KindCorrection:
		line += w.correction(e.Correction)
	case KindCompensation:
		line += w.compensation(e)
	case KindConflict:
		line += w.conflict(e.Conflict)
	case KindSettled:
		line += settledWords(cut, e.Settled)
	case KindCommitment:
	}
	w.text.WriteString(line + "\n")
}

// subjectOf returns whom an entry names.
func subjectOf(e *Entry) string {
	switch {
	case e.Award != nil:
		return e.Award.Claim.Subject
	case e.Allocation != nil:
		return e.Allocation.Player
	}
	return "the " + string(e.Kind)
}

func scopeWords(scope string) string {
	if scope == string(World) {
		return ""
	}
	return " in " + strings.Replace(scope, ":", " ", 1)
}

func windowWords(w Window) string {
	if w.Forever() {
		return ""
	}
	return " " + timeWords(w.Opens) + " to " + timeWords(w.Closes)
}

// timeWords writes a time as a scenario file has it.
func timeWords(i Instant) string {
	text := strings.TrimSuffix(i.String(), "Z")
	if rest, ok := strings.CutPrefix(text, scenarioYear); ok {
		text = strings.TrimPrefix(rest, scenarioDay+"T")
	}
	return strings.TrimSuffix(text, ":00")
}

func placeWords(place int) string {
	if place == 0 {
		return ""
	}
	return fmt.Sprintf(", place %d", place)
}

// effect says what an entry does for somebody; the empty item is nothing but fame.
func (w *wording) effect(e *Entry, item string) string {
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

func claimWords(c *Claim) string {
	text := c.Subject + " " + timeWords(c.Point)
	early, late := time.Duration(c.Point-c.Earliest), time.Duration(c.Latest-c.Point)
	switch {
	case early == 0 && late == 0:
	case early == late:
		text += "±" + late.String()
	default:
		text += "-" + early.String() + "+" + late.String()
	}
	return text
}

func (w *wording) award(e *Entry) string {
	a := e.Award
	text := placeWords(a.Place) + ": " + claimWords(&a.Claim) + ", "
	if a.Tied {
		text += "tied, "
	}
	text += string(a.State)
	if a.State != Held {
		text += w.effect(e, a.Claim.Prize)
	}
	text += w.corrects(a.Corrects)
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

func (w *wording) board(b *Board) string {
	text := ":" + strings.TrimPrefix(w.corrects(b.Corrects), ";")
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

func (w *wording) allocation(e *Entry) string {
	a := e.Allocation
	text := fmt.Sprintf(": %s %s", a.Player, timeWords(a.At))
	if a.Units != 1 {
		text += fmt.Sprintf(" x%d", a.Units)
	}
	text += ", " + string(a.State)
	if a.State == Reserved {
		text += w.effect(e, a.Item)
	} else {
		text += ": " + a.Reason
	}
	return text + w.corrects(a.Corrects)
}

func (w *wording) correction(c *Correction) string {
	found := c.Found
	switch {
	case found == "":
		found = "nobody"
	case strings.HasPrefix(found, "sha256:"):
		found = "another board"
	}
	text := fmt.Sprintf("%s: %s was wrong, found %s, %s", placeWords(c.Place), w.entries[c.Corrects], found, c.Policy)
	return text + " (" + strings.TrimPrefix(c.Reason, fmt.Sprintf("place %d: ", c.Place)) + ")"
}

func (w *wording) compensation(e *Entry) string {
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
func (w *wording) conflict(c *Conflict) string {
	text := fmt.Sprintf(" %s %s", c.Server, c.ID)
	for i := range w.log {
		if r := &w.log[i]; r.Identity() == c.Identity && r.Content == c.Counts {
			return text + fmt.Sprintf(" counts as: %s %s%s %s x%d", r.Type, r.Target, r.SKU, r.Player, r.Count)
		}
	}
	return text
}

func settledWords(cut *Cut, s *Settled) string {
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
	var waits []string
	for _, l := range cut.Lagging() {
		waits = append(waits, l.Node)
	}
	if len(waits) > 0 {
		text += ", waiting for " + strings.Join(waits, ", ")
	}
	return text
}
