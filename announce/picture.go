package announce

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"photofinish/rules"
)

// A finish is close, and gets a picture, if the gap between the first two is at most
// closeGapNs, or at most closeErrors times the larger of their uncertainties.
const (
	closeGapNs  = 60 * 1e9
	closeErrors = 10
)

// maxRunners is how many finishes a picture shows.
const maxRunners = 12

//go:embed page/picture.css
var pictureCSS string

// Picture is the photo finish of a contest: who finished when, as far as the clocks
// can tell.
type Picture struct {
	Name string // of a file; it follows from the drawing, so equal names are equal pictures
	Alt  string // what the picture shows, in words; with names as players chose them, made visible
	SVG  []byte // a document of its own, which follows the viewer's light or dark

	inline string // the same for a page that has pictureCSS
}

// Pictures returns the photo finishes of a report: one for each contest of places
// in which it was close, in the order of the awards. The Markdown report refers to
// them by Name.
func Pictures(r *Report) []Picture {
	var pictures []Picture
	for _, v := range r.contests() {
		if v.Picture != nil {
			pictures = append(pictures, *v.Picture)
		}
	}
	return pictures
}

// Close reports whether the first two finishes of a contest, of those in its awards
// and runners-up, were close: their intervals overlap, or the gap is at most 60 s,
// or at most ten times the larger uncertainty. The awards of an achievement, which
// has no places, are never close.
func Close(awards []Award) bool {
	row := lineUp(awards)
	return len(row) > 1 && row[0].place > 0 && closeTo(&row[0].Claim, &row[1].Claim)
}

func closeTo(a, b *rules.Claim) bool {
	gap := int64(max(a.Point, b.Point) - min(a.Point, b.Point))
	return overlap(a, b) || gap <= closeGapNs || gap/closeErrors <= max(a.UncertaintyNs(), b.UncertaintyNs())
}

func overlap(a, b *rules.Claim) bool { return a.Earliest <= b.Latest && b.Earliest <= a.Latest }

// runner is a finish in a picture.
type runner struct {
	rules.Claim
	place int // 0: runner-up
	tied  bool
	drawn bool // by lot
	held  bool
}

// lineUp returns the finishes of a contest, those with a place first, by place and
// instant, then the runners-up by instant.
func lineUp(awards []Award) []runner {
	var row []runner
	for _, a := range awards {
		row = append(row, runner{a.claim, a.Place, a.Tied, a.Seed != "", a.State == rules.Held})
	}
	slices.SortFunc(row, func(a, b runner) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.Point, b.Point), cmp.Compare(a.Subject, b.Subject))
	})
	for _, u := range next(awards) {
		row = append(row, runner{Claim: u.claim})
	}
	return row
}

// picture draws the contest of the awards. It reports false where it was not close.
func (r *Report) picture(awards []Award) (Picture, bool) {
	if !Close(awards) {
		return Picture{}, false
	}
	c := contestID(awards[0].Rule, awards[0].Scope, awards[0].Window)
	row := lineUp(awards)
	more := max(0, len(row)-maxRunners)
	d := drawing{
		title:   shown(r.title(c.Rule), 50),
		row:     row[:len(row)-more],
		more:    more,
		caption: shown(c.Rule, 40) + " · " + shown(scopeText(string(c.Scope)), 30) + " · " + windowText(c.Window),
	}
	d.verdict = verdict(d.row)
	inner := d.draw()
	sum := sha256.Sum256([]byte(inner))
	id := hex.EncodeToString(sum[:6])
	p := Picture{
		Name: "photo-finish-" + fileText(c.Rule) + "-" + id + ".svg",
		Alt:  d.title + ": " + d.verdict,
	}
	p.inline = d.wrap("pf-"+id, "", inner)
	p.SVG = []byte(d.wrap("pf-"+id, "<style>"+strings.TrimSpace(pictureCSS)+"</style>\n", inner))
	return p, true
}

// fileText is a text as it may stand in the name of a file and in a link to it.
func fileText(s string) string {
	safe := strings.Map(func(c rune) rune {
		if c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return -1
	}, s)
	return safe[:min(len(safe), 64)]
}

// wrap makes a document of a drawing. The id tells it from others on a page.
func (d *drawing) wrap(id, style, inner string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="pf" viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-labelledby="%s-t %s-d">
<title id="%s-t">%s</title>
<desc id="%s-d">%s</desc>
%s%s</svg>
`, px(pictureWidth), px(d.height()), px(pictureWidth), px(d.height()), id, id,
		id, markupText("Photo finish: "+d.title), id, markupText(d.describe()), style, inner)
}

// describe tells the picture to those who do not see it.
func (d *drawing) describe() string {
	lines := []string{d.verdict}
	for _, r := range d.row {
		who := shown(r.Subject, pageNameColumns)
		if r.place > 0 {
			who = fmt.Sprintf("Place %d: %s", r.place, who)
		}
		lines = append(lines, who+", "+claimMoment(&r.Claim)+" UTC.")
	}
	return strings.Join(lines, "\n")
}
