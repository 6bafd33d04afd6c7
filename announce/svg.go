package announce

import (
	"fmt"
	"html"
	"slices"
	"strconv"
	"strings"
)

// svg is a drawing that grows. Lengths are in tenths of a pixel.
type svg struct {
	strings.Builder
}

// px writes tenths of a pixel in pixels.
func px(tenths int64) string {
	if tenths%10 == 0 {
		return strconv.FormatInt(tenths/10, 10)
	}
	sign := ""
	if tenths < 0 {
		sign, tenths = "-", -tenths
	}
	return sign + strconv.FormatInt(tenths/10, 10) + "." + strconv.FormatInt(tenths%10, 10)
}

// markupText encodes a text for HTML and XML, between tags or in a quoted
// attribute. The text must be of characters that XML has: see shown.
func markupText(s string) string { return html.EscapeString(s) }

func (d *svg) open(class string) { fmt.Fprintf(d, `<g class="%s">`+"\n", class) }

func (d *svg) shut() { d.WriteString("</g>\n") }

// text draws a text, encoded here. Its direction ends with it.
func (d *svg) text(class string, x, y int64, text string) {
	fmt.Fprintf(d, `<text class="%s" x="%s" y="%s" unicode-bidi="isolate">%s</text>`+"\n", class, px(x), px(y), markupText(text))
}

func (d *svg) line(class string, x1, y1, x2, y2 int64) {
	fmt.Fprintf(d, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, px(x1), px(y1), px(x2), px(y2))
}

func (d *svg) rect(class string, x, y, w, h, r int64) {
	fmt.Fprintf(d, `<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s"/>`+"\n", class, px(x), px(y), px(w), px(h), px(r))
}

func (d *svg) circle(class string, x, y, r int64) {
	fmt.Fprintf(d, `<circle class="%s" cx="%s" cy="%s" r="%s"/>`+"\n", class, px(x), px(y), px(r))
}

// path draws lines through points, each an x and a y.
func (d *svg) path(class string, points ...int64) {
	fmt.Fprintf(d, `<path class="%s" d="M`, class)
	for point := range slices.Chunk(points, 2) {
		fmt.Fprintf(d, "%s %s ", px(point[0]), px(point[1]))
	}
	d.WriteString(`"/>` + "\n")
}
