package demo

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"photofinish/announce"
	"photofinish/cmd/photofinish/demo/audit"
	"photofinish/rules"
)

// Lines of a report are wrapped at this many columns.
const textColumns = 100

// maxNames is how many names one line lists.
const maxNames = 6

// page collects lines, a label before the first of each paragraph.
type page struct {
	strings.Builder
}

const labelColumns = 15

// say writes a paragraph with a label, wrapped.
func (p *page) say(label, format string, args ...any) {
	line := "  " + label + strings.Repeat(" ", max(1, labelColumns-2-len(label)))
	columns := labelColumns
	for i, word := range strings.Split(fmt.Sprintf(format, args...), " ") {
		word = strings.ReplaceAll(word, together, " ")
		width := len([]rune(word))
		if i > 0 && columns+1+width > textColumns {
			p.WriteString(strings.TrimRight(line, " ") + "\n")
			line, columns = strings.Repeat(" ", labelColumns), labelColumns
		} else if i > 0 {
			line, columns = line+" ", columns+1
		}
		line, columns = line+word, columns+width
	}
	p.WriteString(strings.TrimRight(line, " ") + "\n")
}

// together is a space at which no line is broken.
const together = "\u00a0"

// WriteIntro says what world this is.
func (w *World) WriteIntro(out io.Writer) error {
	_, err := fmt.Fprintf(out, `World %d: %d hours, %d game servers in 3 regions, all their clocks wrong, %s events, pushed over
HTTP through a network that loses answers, cuts requests and brings some late.
Every hour is settled as the log stands then. "happened" is what truly went on, which photofinish
does not know; all else is what it decided, from the log alone.

`, w.cfg.Seed, w.cfg.Hours, len(w.servers), announce.Grouped(w.Events()))
	return err
}

// WriteHour writes an hour in a few lines: what happened, and what was decided.
func (w *World) WriteHour(out io.Writer, h *Hour) error {
	p := &page{}
	r := &h.Report
	p.WriteString(w.heading(r) + "\n")
	for i, n := range h.Notes {
		label := ""
		if i == 0 {
			label = "happened"
		}
		p.say(label, "%s", n)
	}
	w.sayAwards(p, r)
	for i := range r.Sales {
		w.saySale(p, &r.Sales[i])
	}
	for i := range r.Leaderboards {
		w.sayBoard(p, &r.Leaderboards[i])
	}
	w.sayCorrections(p, r)
	for _, c := range r.Commitments {
		p.say("sealed", "%s: the lots' seed; its SHA-256 is %s…", w.title(c.Rule), c.Digest[:16])
	}
	for _, c := range r.Conflicts {
		p.say("CONFLICT", "%s sent two different events as %q: the first counts", c.Server, c.ID)
	}
	if more := r.ConflictsTotal - uint64(len(r.Conflicts)); more > 0 {
		p.say("CONFLICT", "and %d more", more)
	}
	p.WriteString("\n")
	_, err := io.WriteString(out, p.String())
	return err
}

func (w *World) heading(r *announce.Report) string {
	text := fmt.Sprintf("%s  settlement %d: %s events", r.Cut.Through.Time().Format("15:04"), r.Cut.Number, announce.Grouped(r.Cut.Events))
	if r.Cut.Late > 0 {
		text += fmt.Sprintf(", %s of them late", announce.Grouped(r.Cut.Late))
	}
	if len(r.Cut.Lagging) > 0 {
		text += "; not heard of: " + strings.Join(lagging(r.Cut.Lagging), ", ")
	}
	return text
}

// lagging names the nodes and servers that were not heard of. Who went to
// another node for a while is silent there and nothing to tell.
func lagging(lags []announce.Lag) []string {
	var names []string
	for _, l := range lags {
		if l.Region != "" && l.Region != l.Node {
			continue
		}
		if n := cmp.Or(l.Server, l.Region, l.Node); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// title names a rule.
func (w *World) title(rule string) string { return w.set.Rule(rule).Title }

// name writes what a player chose so that a terminal shows it and does nothing else.
func name(s string) string {
	quoted := strconv.QuoteToGraphic(s)
	return quoted[1 : len(quoted)-1]
}

// contestTitle names a contest: its rule, and its region if it is one of several.
func (w *World) contestTitle(rule, scope string) string {
	if kind, where, scoped := strings.Cut(scope, ":"); scoped {
		return fmt.Sprintf("%s (%s %s)", w.title(rule), kind, where)
	}
	return w.title(rule)
}

func (w *World) sayAwards(p *page, r *announce.Report) {
	for start := 0; start < len(r.Awards); {
		first := &r.Awards[start]
		end := start + 1
		for end < len(r.Awards) && r.Awards[end].Rule == first.Rule && r.Awards[end].Scope == first.Scope {
			end++
		}
		awards := r.Awards[start:end]
		start = end
		title := w.contestTitle(first.Rule, first.Scope)
		if first.Place == 0 {
			var names []string
			for i := range awards {
				names = append(names, awards[i].Subject)
			}
			p.say("achieved", "%s: %s", title, list(names))
			continue
		}
		w.sayPlaces(p, title, awards, r.Cut)
	}
}

// sayPlaces tells of the awards of one contest, which have one place.
func (w *World) sayPlaces(p *page, title string, awards []announce.Award, cut *announce.Cut) {
	var who []string
	wait := w.set.Rule(awards[0].Rule).Hold
	for i := range awards {
		x := &awards[i]
		who = append(who, name(x.Subject)+" at "+moment(x.At, x.UncertaintyNs))
	}
	switch {
	case awards[0].State == rules.Held:
		p.say("held", "%s: %s; given once %s reported, at the latest after %s", title,
			strings.Join(who, " and "), haveReported(lagging(cut.Lagging)), hold(wait))
	case len(awards) > 1:
		p.say("PHOTO FINISH", "%s: %s cannot be told apart by these clocks, so they share it", title, strings.Join(who, " and "))
	case awards[0].Corrects != "":
		p.say("awarded", "%s: %s gets it too", title, who[0])
	case len(cut.Lagging) > 0 && awards[0].At < cut.Through.Add(-wait):
		p.say("awarded", "%s: %s, after waiting for %s; later evidence may still correct it", title, who[0], hold(wait))
	default:
		p.say("awarded", "%s: %s", title, who[0])
	}
}

// haveReported names those who hold an award back.
func haveReported(lagging []string) string {
	if len(lagging) == 1 {
		return name(lagging[0]) + " has"
	}
	return list(lagging) + " have"
}

func hold(d time.Duration) string { return strings.TrimSuffix(d.String(), "0m0s") }

// moment writes a time of the day with what is uncertain of it.
func moment(at rules.Instant, uncertaintyNs int64) string {
	return fmt.Sprintf("%s"+together+"±"+together+"%d"+together+"ms", at.Time().Format("15:04:05.000"), (uncertaintyNs+999_999)/1_000_000)
}

// list writes the first of some names and how many more there are.
func list(names []string) string {
	shown := make([]string, 0, maxNames)
	for _, n := range names[:min(len(names), maxNames)] {
		shown = append(shown, name(n))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (w *World) saySale(p *page, s *announce.Sale) {
	var holders []string
	for _, a := range s.Attempts {
		if a.State == rules.Reserved {
			holders = append(holders, a.Player)
		}
	}
	text := fmt.Sprintf("%s: %d of %d reserved, for %s", w.title(s.Rule), s.Sold, *s.Stock, list(holders))
	if s.Sold == *s.Stock && s.SoldOut > 0 {
		text += fmt.Sprintf("; SOLD OUT, %d more told so", s.SoldOut)
	}
	if s.Declined > 0 {
		text += fmt.Sprintf("; %d declined, one each", s.Declined)
	}
	p.say("sale", "%s", text)
}

func (w *World) sayBoard(p *page, b *announce.Leaderboard) {
	var lines []string
	for _, l := range b.Standings[:min(len(b.Standings), 3)] {
		lines = append(lines, fmt.Sprintf("%d."+together+"%s"+together+"%s", l.Place, name(l.Subject), l.Score.String()))
	}
	label := "board"
	if b.Corrects != "" {
		label = "new board"
	}
	p.say(label, "%s %s–%s: %s", w.title(b.Rule), b.Window.Opens.Time().Format("15:04"), b.Window.Closes.Time().Format("15:04"),
		strings.Join(lines, " · "))
}

// sayCorrections tells what was wrong before, and what was done for whom.
func (w *World) sayCorrections(p *page, r *announce.Report) {
	for _, c := range r.Corrections {
		switch {
		case c.Place > 0:
			p.say("CORRECTED", "%s: it named %s, and %s was first (%s)", w.contestTitle(c.Rule, c.Scope),
				name(string(c.Subject)), name(string(c.Found)), c.Reason)
		case c.Subject != "":
			p.say("CORRECTED", "%s, %s: %s", w.title(c.Rule), name(string(c.Subject)), strings.ReplaceAll(c.Reason, "_", " "))
		default:
			p.say("CORRECTED", "%s %s–%s: %s", w.title(c.Rule), c.Window.Opens.Time().Format("15:04"),
				c.Window.Closes.Time().Format("15:04"), c.Reason)
		}
	}
	type key struct{ kind, gets string }
	done := map[key][]string{}
	var order []key
	for _, c := range r.Compensations {
		k := key{c.Kind, "gets"}
		if c.Takes {
			k.gets = "gives back"
		}
		if done[k] == nil {
			order = append(order, k)
		}
		done[k] = append(done[k], c.Subject+" "+k.gets+" "+string(c.Item))
	}
	slices.SortStableFunc(order, func(a, b key) int { return cmp.Compare(a.kind, b.kind) })
	for _, k := range order {
		p.say("compensated", "%s: %s", strings.ReplaceAll(k.kind, "_", " "), list(done[k]))
	}
}

// WriteAudit writes an audit as a table.
func WriteAudit(out io.Writer, a *audit.Result) error {
	p := &page{}
	p.WriteString("AUDIT  what must hold, checked against what truly happened in this world\n")
	for _, c := range a.Checks {
		verdict := "ok    "
		if !c.OK {
			verdict = "FAILED"
		}
		fmt.Fprintf(p, "  %s  %-6s  %s\n", verdict, c.Guarantee, c.Name)
		fmt.Fprintf(p, "                  %s\n", c.Checked)
		for _, problem := range c.Problems {
			fmt.Fprintf(p, "                  ! %s\n", name(problem))
		}
	}
	p.WriteString("\nCOUNTED\n")
	for _, c := range a.Counts {
		fmt.Fprintf(p, "  %8s  %s\n", announce.Grouped(c.N), c.Name)
	}
	_, err := io.WriteString(out, p.String())
	return err
}
