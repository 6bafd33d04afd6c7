package announce

import (
	"fmt"
	"strconv"

	"photofinish/rules"
)

// The measures of a picture, in tenths of a pixel. It is narrow and its names
// stand above their bars, so that it can be read on a phone.
const (
	pictureWidth  = 5600
	margin        = 240
	plotRight     = 5200 // what is right of it belongs to the brackets
	titleBase     = 400
	lineHeight    = 200
	rowHeight     = 560
	barTop        = 290 // in a row
	barHeight     = 140
	footHeight    = 1000
	verdictWidth  = 66 // columns
	checkerSquare = 50
)

// drawing is what a picture shows.
type drawing struct {
	title   string
	verdict string
	caption string
	row     []runner
	more    int // finishes that are not shown
}

// plotTop is where the first row begins.
func (d *drawing) plotTop() int64 {
	return titleBase + lineHeight*int64(1+len(wrapped(d.verdict, verdictWidth))) + 60
}

func (d *drawing) plotBottom() int64 { return d.plotTop() + rowHeight*int64(len(d.row)) }

func (d *drawing) height() int64 { return d.plotBottom() + footHeight }

// draw returns the drawing without what makes it a document.
func (d *drawing) draw() string {
	claims := make([]rules.Claim, len(d.row))
	for i := range d.row {
		claims[i] = d.row[i].Claim
	}
	a := newAxis(claims)
	s := &svg{}
	s.rect("pf-paper", 0, 0, pictureWidth, d.height(), 0)
	d.drawHead(s)
	d.drawAxis(s, a)
	d.drawTies(s, a)
	s.line("pf-line", a.x(d.row[0].Point), d.plotTop(), a.x(d.row[0].Point), d.plotBottom())
	for i := range d.row {
		d.drawRow(s, a, i)
	}
	return s.String()
}

// drawHead draws the title, the verdict and a finish flag.
func (d *drawing) drawHead(s *svg) {
	s.text("pf-title", margin, titleBase, d.title)
	for i, line := range wrapped(d.verdict, verdictWidth) {
		s.text("pf-verdict", margin, titleBase+lineHeight*int64(i+1)+30, line)
	}
	for column := range int64(2) {
		x := checkerSquare/2 + column*checkerSquare
		s.line("pf-flag", x, column*checkerSquare, x, d.height())
	}
}

// drawAxis draws the time below the rows, and lines up from its marks.
func (d *drawing) drawAxis(s *svg, a axis) {
	bottom := d.plotBottom()
	ticks := a.ticks()
	for _, t := range ticks {
		s.line("pf-grid", a.x(t.at), d.plotTop(), a.x(t.at), bottom)
	}
	s.line("pf-axis", margin, bottom, plotRight, bottom)
	for _, t := range ticks {
		s.line("pf-axis", a.x(t.at), bottom, a.x(t.at), bottom+50)
		s.text("pf-tick", a.x(t.at), bottom+190, t.label)
	}
	s.text("pf-soft", margin, bottom+430, "0 is "+moment(ticks[0].at)+" UTC")
	caption := d.caption
	if d.more > 0 {
		caption += fmt.Sprintf(" · %d more", d.more)
	}
	s.text("pf-soft", margin, bottom+610, "Bar: when it can have been. Mark: when most likely.")
	s.text("pf-soft", margin, bottom+790, caption)
}

// drawTies joins neighbours whose intervals meet by a bracket that says what
// follows from it, and shades the time in which all of them can have finished.
func (d *drawing) drawTies(s *svg, a axis) {
	for i := 0; i+1 < len(d.row); {
		why := between(&d.row[i], &d.row[i+1])
		last := i + 1
		for last+1 < len(d.row) && between(&d.row[last], &d.row[last+1]) == why {
			last++
		}
		if why == apart || d.row[i].place == 0 {
			i = last
			continue
		}
		top, bottom := d.plotTop()+rowHeight*int64(i)+60, d.plotTop()+rowHeight*int64(last)+barTop+barHeight+20
		if from, to := common(d.row[i : last+1]); why == tied && from <= to {
			s.rect("pf-tie", a.x(from), top, max(a.x(to)-a.x(from), 20), bottom-top, 30)
		}
		s.path("pf-bracket", plotRight+40, top, plotRight+110, top, plotRight+110, bottom, plotRight+40, bottom)
		x, y := int64(plotRight+230), (top+bottom)/2
		fmt.Fprintf(s, `<text class="pf-why" x="%s" y="%s" transform="rotate(90 %s %s)" dominant-baseline="middle">%s</text>`+"\n",
			px(x), px(y), px(x), px(y), why.text())
		i = last
	}
}

// common returns the span of time that all intervals share; from > to is none.
func common(row []runner) (from, to rules.Instant) {
	from, to = row[0].Earliest, row[0].Latest
	for i := range row {
		from, to = max(from, row[i].Earliest), min(to, row[i].Latest)
	}
	return from, to
}

// drawRow draws a finish: its place and name, when it was, and the bar below.
func (d *drawing) drawRow(s *svg, a axis, i int) {
	r := &d.row[i]
	top := d.plotTop() + rowHeight*int64(i)
	s.open(r.class())
	if r.place > 0 {
		s.circle("pf-badge", margin+100, top+140, 100)
		s.text("pf-place", margin+100, top+187, strconv.Itoa(r.place))
	} else {
		s.circle("pf-badge", margin+100, top+140, 50)
	}
	s.text("pf-name", margin+260, top+190, shown(r.Subject, pictureNameColumns))
	when := clock(&r.Claim)
	if i > 0 {
		when = after(d.row[0].Point, r)
	}
	if r.held {
		when = "held · " + when
	}
	s.text("pf-time", plotRight, top+190, when)
	d.drawBar(s, a, r, top+barTop)
	s.shut()
}

func (d *drawing) drawBar(s *svg, a axis, r *runner, top int64) {
	from, to := a.x(r.Earliest), a.x(r.Latest)
	if r.Earliest <= a.hi && r.Latest >= a.lo {
		s.rect("pf-bar", from, top, max(to-from, 30), barHeight, min(max(to-from, 30)/2, barHeight/2))
	}
	if a.holds(r.Point) {
		s.rect("pf-mark", a.x(r.Point)-15, top-30, 30, barHeight+60, 15)
		return
	}
	edge, tip := int64(plotRight-90), int64(plotRight)
	if r.Point < a.lo {
		edge, tip = margin+90, margin
	}
	s.path("pf-far", edge, top, tip, top+barHeight/2, edge, top+barHeight)
}

// class returns the classes of a finish.
func (r *runner) class() string {
	class := "pf-next"
	if r.place > 0 {
		class = "pf-won"
	}
	if r.place == 1 {
		class += " pf-first"
	}
	if r.held {
		class += " pf-held"
	}
	return class
}

// after writes how long after the first a finish was.
func after(first rules.Instant, r *runner) string {
	text := "same instant"
	switch gap := int64(r.Point - first); {
	case gap > 0:
		text = "+" + duration(gap)
	case gap < 0:
		text = duration(gap)
	}
	if u := r.OffNs(); u > 0 {
		text += " ± " + atMost(u)
	}
	return text
}
