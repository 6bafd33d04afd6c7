package announce

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"photofinish/rules"
)

//go:embed page/page.tmpl
var pageTemplate string

//go:embed page/page.css
var pageCSS string

// Page is how reports become an HTML page, complete in one file: it loads nothing,
// runs nothing, and its policy forbids both. The zero Page works.
type Page struct {
	Title string // empty: the page is named for what it shows
	// Address returns the address of the page that shows the report of one cut. An
	// entry of it is at the fragment of its ID. Nil: entries that this page does not
	// show are named without a link.
	Address func(cut uint64) string
	// Awards returns the address of a list of all awards of a rule, for a brief report. Nil:
	// there is none.
	Awards func(rule string) string
}

// PagePolicy returns the Content-Security-Policy that the page carries, for a
// server to send as a header too. Its style is allowed by digest, so that no other
// can be slipped in.
func PagePolicy() string {
	sum := sha256.Sum256([]byte(pageStyle()))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}

func pageStyle() string { return strings.TrimSpace(pageCSS) + "\n" + strings.TrimSpace(pictureCSS) }

// WriteHTML writes the reports as one page, an index first if they are several. If
// it fails before the first byte nothing is written.
func (p Page) WriteHTML(w io.Writer, reports []Report) error {
	t, err := template.New("page").Funcs(pageFuncs()).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("write the report as a page: %w", err)
	}
	title := p.Title
	if title == "" && len(reports) == 1 {
		title = reports[0].heading()
	} else if title == "" {
		title = strconv.Itoa(len(reports)) + " settlements"
	}
	data := pageData{
		Title:  title,
		Policy: PagePolicy(),
		Style:  template.CSS(pageStyle()), //nolint:gosec // embedded files, no value in them
	}
	shown := map[uint64]bool{} // cuts whose entries are on the page as decided then
	for i := range reports {
		if reports[i].Cut.From == reports[i].Cut.Number {
			shown[reports[i].Cut.Number] = true
		}
	}
	for i := range reports {
		data.Reports = append(data.Reports, newReportView(&reports[i], shown, p, len(reports) == 1))
	}
	var page bytes.Buffer
	if err := t.Execute(&page, data); err != nil {
		return fmt.Errorf("write the report as a page: %w", err)
	}
	if _, err := page.WriteTo(w); err != nil {
		return fmt.Errorf("write the report as a page: %w", err)
	}
	return nil
}

type pageData struct {
	Title   string
	Policy  string
	Style   template.CSS
	Reports []*reportView
}

// reportView is a report with what the template asks about it.
type reportView struct {
	*Report
	Alone           bool
	Contests        []contestView
	ContestsOmitted int
	Boards          []Leaderboard
	BoardsOmitted   int
	ShownSales      []Sale
	SalesOmitted    int

	here    map[string]bool // entries that have a place in this report
	shown   map[uint64]bool
	address func(uint64) string
	awards  func(string) string
}

func newReportView(r *Report, shown map[uint64]bool, p Page, alone bool) *reportView {
	v := &reportView{Report: r, Alone: alone, here: map[string]bool{}, shown: shown, address: p.Address, awards: p.Awards}
	v.Contests, v.ContestsOmitted = first(r.contests(), maxContests)
	v.ContestsOmitted += r.omitted.contests
	v.Boards, v.BoardsOmitted = first(r.Leaderboards, maxContests)
	v.ShownSales, v.SalesOmitted = first(r.Sales, maxContests)
	for _, c := range v.Contests {
		for _, a := range c.Awards {
			v.here[a.Outcome] = true
		}
	}
	for _, b := range v.Boards {
		v.here[b.Outcome] = true
	}
	for _, s := range v.ShownSales {
		attempts, _ := s.shown()
		for _, a := range attempts {
			v.here[a.Outcome] = true
		}
	}
	for _, c := range r.Corrections[:min(len(r.Corrections), maxRows)] {
		v.here[c.Outcome] = true
	}
	return v
}

func first[T any](list []T, n int) (some []T, omitted int) {
	if len(list) <= n {
		return list, 0
	}
	return list[:n], len(list) - n
}

// head is what a contest's heading shows.
type head struct {
	Title, Rule, Scope, Window, About string
}

// Head returns the heading of a contest.
func (v *reportView) Head(rule, scope string, w rules.Window) head {
	return head{v.title(rule), rule, scopeText(scope), windowText(w), shownText(v.describe(rule))}
}

// AwardsAt returns where all awards of a rule are; "" if nowhere.
func (v *reportView) AwardsAt(rule string) string {
	if v.awards == nil {
		return ""
	}
	return v.awards(rule)
}

// Title names a rule.
func (v *reportView) Title(rule string) string { return shown(v.title(rule), pageNameColumns) }

// entryView is another entry that is referred to.
type entryView struct {
	Short   string
	Address string // empty: it cannot be reached from this page
	Cut     uint64 // 0: see cutBeside
}

// Entry refers to an entry: on this page if it is there, else on that of its cut.
func (v *reportView) Entry(id any) entryView {
	outcome := fmt.Sprint(id)
	e := entryView{Short: shortID(outcome), Cut: v.cutBeside(outcome)}
	cut, known := v.CutOf(outcome)
	switch {
	case v.here[outcome], known && v.shown[cut]:
		e.Address = "#" + outcome
	case known && v.address != nil:
		e.Address = v.address(cut) + "#" + outcome
	}
	return e
}

// links is how an entry is tied to others.
type links struct {
	Corrects, CorrectedBy Text
	view                  *reportView
}

// Links returns what the template shows of an entry's ties.
func (v *reportView) Links(corrects, correctedBy Text) links { return links{corrects, correctedBy, v} }

// To refers to an entry.
func (l links) To(id Text) entryView { return l.view.Entry(id) }

func shownText(s string) string {
	if s == "" {
		return ""
	}
	return shown(s, 2000)
}

// pageFuncs are what the template can ask. All texts they return are encoded by
// html/template; only the pictures are markup, and encode their texts themselves.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"name":         func(s any) string { return shown(fmt.Sprint(s), pageNameColumns+16) },
		"moment":       moment,
		"award":        func(a Award) string { return claimMoment(&a.claim) },
		"next":         func(u RunnerUp) string { return claimMoment(&u.claim) },
		"short":        func(v *reportView) string { return v.short() },
		"heading":      (*Report).heading,
		"covers":       (*Report).covers,
		"facts":        (*Report).facts,
		"place":        placeText,
		"tie":          tieText,
		"id":           shortID,
		"scope":        scopeText,
		"window":       windowText,
		"sold":         soldText,
		"price":        priceText,
		"policy":       policyText,
		"kind":         words,
		"compensation": compensationText,
		"chip":         chipText,
		"grouped":      Grouped[int64],
		"count":        Grouped[int],
		"score":        func(n rules.Amount) string { return groupedDigits(n.String()) },
		"rows":         func() int { return maxRows },
		"over":         func(n int) int { return max(0, n-maxRows) },
		"attempts":     func(s Sale) []PurchaseAttempt { a, _ := s.shown(); return a },
		"moreAttempts": func(s Sale) int { _, n := s.shown(); return n },
		"changes":      Correction.changes,
		"lack":         lackText,
		"lacking":      func() string { return lacksText },
		"conflicts":    (*Report).conflictsOmitted,
		"lag":          lagText,
		"wait":         waitText,
		"drawn": func(p *Picture) template.HTML {
			return template.HTML(p.inline) //nolint:gosec // the drawing encodes every text in it: see svg.text
		},
	}
}

// chipText writes a state with a mark, so that it is told apart without colours.
func chipText(state any) string {
	marks := map[string]string{
		"held": "○ held", "provisional": "◐ provisional", "final": "● final",
		"reserved": "● reserved", "sold_out": "sold out", "declined": "declined",
	}
	s := fmt.Sprint(state)
	if text, ok := marks[s]; ok {
		return text
	}
	return words(s)
}
