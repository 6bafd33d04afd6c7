package announce

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"photofinish/rules"
)

// WriteMarkdown writes the reports one after the other as Markdown with tables.
// Pictures are referred to by name: see Pictures.
func WriteMarkdown(w io.Writer, reports []Report) error {
	var m markdown
	if len(reports) > 1 {
		m.index(reports)
	}
	for i := range reports {
		m.report(&reports[i])
	}
	if _, err := w.Write(append(bytes.TrimRight(m.Bytes(), "\n"), '\n')); err != nil {
		return fmt.Errorf("write the report as Markdown: %w", err)
	}
	return nil
}

// markdown is a document that grows.
type markdown struct {
	bytes.Buffer
}

func (m *markdown) line(format string, args ...any) {
	fmt.Fprintf(m, format, args...)
	m.WriteByte('\n')
}

// paragraph writes a line and an empty one.
func (m *markdown) paragraph(format string, args ...any) {
	m.line(format, args...)
	m.WriteByte('\n')
}

// table writes the head of a table; rows follow.
func (m *markdown) table(columns ...string) {
	m.row(columns...)
	m.line("|%s", strings.Repeat(" --- |", len(columns)))
}

func (m *markdown) row(cells ...string) { m.line("| %s |", strings.Join(cells, " | ")) }

func (m *markdown) omitted(n int, what string) {
	if n > 0 {
		m.WriteByte('\n')
		m.line("… and %d more %s, all in the JSON report.", n, what)
	}
}

func name(s string) string { return markdownText(s, pageNameColumns) }

func (m *markdown) index(reports []Report) {
	m.paragraph("# %d settlements", len(reports))
	m.table("Settlement", "Until (UTC)", "In short")
	for i := range reports {
		r := &reports[i]
		m.row(strconv.FormatUint(r.Cut.Number, 10), moment(r.Cut.Through), r.short())
	}
	m.WriteByte('\n')
}

// short is the summary in one line.
func (r *Report) short() string {
	var parts []string
	for _, f := range r.facts() {
		part := Grouped(f.Count) + " " + f.Name
		if f.Detail != "" {
			part += " (" + f.Detail + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " · ")
}

func (m *markdown) report(r *Report) {
	m.paragraph("# %s", r.heading())
	m.paragraph("%s", r.covers())
	m.paragraph("%s", r.short())
	if len(r.Cut.Lagging) > 0 {
		m.paragraph("Waiting for: %s", strings.Join(mapped(r.Cut.Lagging, func(l Lag) string { return name(lagText(l)) }), ", "))
	}
	m.awards(r)
	m.boards(r)
	m.sales(r)
	m.corrections(r)
	m.compensations(r)
	m.waiting(r)
	m.commitments(r)
	m.conflicts(r)
	m.lacks(r)
	m.paragraph("Ruleset `%s`", digestText(r.Cut.Ruleset))
}

// digestText is a digest as it may stand between backticks.
func digestText(s string) string {
	return strings.Map(func(c rune) rune {
		if c == ':' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			return c
		}
		return '?'
	}, s)
}

func mapped[T any](texts []T, f func(T) string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = f(t)
	}
	return out
}

// contest writes the heading of a contest and what it is about.
func (m *markdown) contest(r *Report, c rules.ContestID) {
	m.paragraph("### %s", name(r.title(c.Rule)))
	m.paragraph("%s · %s · %s", name(c.Rule), name(scopeText(string(c.Scope))), windowText(c.Window))
}

func (m *markdown) awards(r *Report) {
	views := r.contests()
	if len(views) == 0 {
		return
	}
	m.paragraph("## Awards")
	for i, v := range views {
		if i == maxContests {
			m.omitted(len(views)-i, "contests")
			break
		}
		m.contest(r, v.contest())
		if v.Picture != nil {
			m.paragraph("![%s](%s)", markdownText(v.Picture.Alt, 400), v.Picture.Name)
		}
		m.table("Place", "Who", "When (UTC)", "State", "Prize", "Outcome")
		for _, a := range v.Awards {
			m.row(placeText(a.Place), "**"+name(a.Subject)+"**", claimMoment(&a.claim),
				m.state(string(a.State), tieText(a))+waitCell(a), orDash(a.Prize), m.outcome(r, a.Outcome, a.Corrects, a.CorrectedBy))
		}
		m.omitted(v.Omitted, "awards")
		m.WriteByte('\n')
		if len(v.Next) > 0 {
			var next []string
			for _, u := range v.Next[:min(len(v.Next), maxRows)] {
				next = append(next, name(u.Subject)+" ("+claimMoment(&u.claim)+")")
			}
			m.paragraph("Next: %s", strings.Join(next, ", "))
		}
	}
}

// waitCell says until when a held award waits, and for whom, and that one rests on
// backdated events.
func waitCell(a Award) string {
	cell := ""
	if text := waitText(a); text != "" {
		cell = " " + name(text)
	}
	if a.Trust == rules.TrustBackdated {
		cell += ", by backdated events"
	}
	return cell
}

// state writes how sure an outcome is, so that it is seen without colours.
func (m *markdown) state(state, tie string) string {
	marks := map[string]string{"held": "○ held", "provisional": "◐ provisional", "final": "● final"}
	text := marks[state]
	if tie != "" {
		text += ", " + tie
	}
	return text
}

// outcome writes an entry's ID and how it is tied to others.
func (m *markdown) outcome(r *Report, id string, corrects, correctedBy Text) string {
	text := "`" + shortID(digestText(id)) + "`"
	if corrects != "" {
		text += " corrects " + m.entry(r, string(corrects))
	}
	if correctedBy != "" {
		text += " **corrected** by " + m.entry(r, string(correctedBy))
	}
	return text
}

// entry names another entry and the settlement it is of.
func (m *markdown) entry(r *Report, id string) string {
	text := "`" + shortID(digestText(id)) + "`"
	if cut := r.cutBeside(id); cut > 0 {
		text += fmt.Sprintf(" of settlement %d", cut)
	}
	return text
}

func placeText(place int) string {
	if place == 0 {
		return "✓"
	}
	return strconv.Itoa(place)
}

func orDash(t Text) string {
	if t == "" {
		return "–"
	}
	return name(string(t))
}

func (m *markdown) boards(r *Report) {
	if len(r.Leaderboards) == 0 {
		return
	}
	m.paragraph("## Leaderboards")
	for i, b := range r.Leaderboards {
		if i == maxContests {
			m.omitted(len(r.Leaderboards)-i, "leaderboards")
			break
		}
		m.contest(r, contestID(b.Rule, b.Scope, b.Window))
		m.paragraph("%s · outcome %s", m.state(string(b.State), ""), m.outcome(r, b.Outcome, b.Corrects, b.CorrectedBy))
		m.table("Place", "Who", "Score", "Reached (UTC)", "Prize")
		for i, s := range b.Standings {
			if i == maxRows {
				m.omitted(len(b.Standings)-i, "lines")
				break
			}
			place := placeText(s.Place)
			if s.Tied {
				place += " (tied)"
			}
			m.row(place, name(s.Subject), groupedDigits(s.Score.String()), moment(s.Reached), orDash(s.Prize))
		}
		m.WriteByte('\n')
	}
}

func (m *markdown) sales(r *Report) {
	if len(r.Sales) == 0 {
		return
	}
	m.paragraph("## Sales")
	for i, s := range r.Sales {
		if i == maxContests {
			m.omitted(len(r.Sales)-i, "sales")
			break
		}
		m.contest(r, contestID(s.Rule, s.Scope, s.Window))
		m.paragraph("%s · %s · %s", name(s.Item), name(priceText(s)), soldText(s))
		m.table("Who", "When (UTC)", "Units", "State")
		attempts, omitted := s.shown()
		for _, a := range attempts {
			state := words(string(a.State))
			if a.Reason != "" {
				state += ": " + name(string(a.Reason))
			}
			m.row(name(a.Player), moment(a.At), strconv.FormatInt(a.Units, 10), state)
		}
		m.omitted(omitted, "attempts")
		m.WriteByte('\n')
	}
}

func (m *markdown) corrections(r *Report) {
	if len(r.Corrections) == 0 {
		return
	}
	m.paragraph("## Corrections")
	for i, c := range r.Corrections {
		if i == maxRows {
			m.omitted(len(r.Corrections)-i, "corrections")
			break
		}
		m.line("- **%s** (%s, %s): %s%s. %s Corrects %s.", name(r.title(c.Rule)), name(scopeText(c.Scope)), windowText(c.Window),
			name(c.Reason), m.changed(c), policyText(c.Policy), m.entry(r, c.Corrects))
	}
	m.WriteByte('\n')
}

// changed says who gains, keeps, loses and is denied the place; a board has no one
// subject.
func (m *markdown) changed(c Correction) string {
	text := ""
	for _, part := range c.changes() {
		text += "; " + strings.Join(mapped(part.Who, name), ", ")
		if part.More > 0 {
			text += fmt.Sprintf(" and %d more", part.More)
		}
		text += " " + part.What
	}
	return text
}

func (m *markdown) compensations(r *Report) {
	if len(r.Compensations) == 0 {
		return
	}
	m.paragraph("## Compensations")
	for i, c := range r.Compensations {
		if i == maxRows {
			m.omitted(len(r.Compensations)-i, "compensations")
			break
		}
		text := "**" + name(c.Subject) + "** " + compensationText(c)
		if c.Item != "" {
			text += " " + name(string(c.Item))
		}
		m.line("- %s (%s, %s), because of %s", text, words(c.Kind), name(c.Rule), m.entry(r, c.Because))
	}
	m.WriteByte('\n')
}

func (m *markdown) waiting(r *Report) {
	if len(r.Waiting) == 0 {
		return
	}
	m.paragraph("## Waiting for a person")
	m.paragraph("Nothing has moved for these: they rest on backdated events, whose own servers had declared that time complete before they came.")
	for i, w := range r.Waiting {
		if i == maxRows {
			m.omitted(len(r.Waiting)-i, "that wait")
			break
		}
		until := ""
		if w.FinalAt != 0 {
			until = ", until " + moment(w.FinalAt)
		}
		m.line("- %s · %s · %s%s: %s", name(w.Rule), name(scopeText(w.Scope)), windowText(w.Window), until, w.changes())
	}
	m.WriteByte('\n')
}

// changes says in words what would become of the places.
func (w *Waiting) changes() string {
	var places []string
	for i, c := range w.Changes {
		if i == maxRows {
			places = append(places, "and more, all in the JSON report")
			break
		}
		var said []string
		for _, of := range []struct {
			what string
			who  []string
		}{{"would gain", c.Gains}, {"would keep", c.Keeps}, {"would lose", c.Loses}} {
			if len(of.who) > 0 {
				said = append(said, namesText(of.who)+" "+of.what)
			}
		}
		text := strings.Join(said, ", ") + " " + placeOrUnit(c.Place)
		if c.Item != "" {
			text += " with " + name(string(c.Item))
		}
		places = append(places, text)
	}
	return strings.Join(places, "; ")
}

func placeOrUnit(place int) string {
	if place == 0 {
		return "it"
	}
	return "place " + strconv.Itoa(place)
}

// namesText lists names, the first few of many.
func namesText(names []string) string {
	var all []string
	for i, n := range names {
		if i == maxRows {
			all = append(all, fmt.Sprintf("%d more", len(names)-i))
			break
		}
		all = append(all, "**"+name(n)+"**")
	}
	return strings.Join(all, ", ")
}

func (m *markdown) commitments(r *Report) {
	if len(r.Commitments) == 0 {
		return
	}
	m.paragraph("## Sealed draws")
	for i, c := range r.Commitments {
		if i == maxRows {
			m.omitted(len(r.Commitments)-i, "sealed draws")
			break
		}
		m.line("- %s · %s · %s: the SHA-256 of the seed of place %d is `%s`",
			name(c.Rule), name(scopeText(c.Scope)), windowText(c.Window), c.Place, digestText(c.Digest))
	}
	m.WriteByte('\n')
}

func (m *markdown) conflicts(r *Report) {
	if r.ConflictsTotal == 0 {
		return
	}
	m.paragraph("## Conflicts")
	m.paragraph("Two different events were sent under one identity. The first counts.")
	if len(r.Conflicts) == 0 {
		m.line("- %d, which are not public", r.ConflictsTotal)
	}
	for i, c := range r.Conflicts {
		if i == maxRows {
			break
		}
		m.line("- %s / %s", name(c.Server), name(c.ID))
	}
	if text := r.conflictsOmitted(); text != "" {
		m.line("\n%s", text)
	}
	m.WriteByte('\n')
}
