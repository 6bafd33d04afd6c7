package announce

import (
	"strconv"
	"strings"
	"time"

	"photofinish/rules"
)

// lacksText explains the section of missing numbers.
const lacksText = "Numbers that these servers left out, or whose events are not in the log. What a server still holds comes by itself, and counts."

// lackText says which numbers of a server did not come, the last of many, and since when
// the first of them is missed: "lacks 1042–1053 and 1060, since …".
func lackText(l Lack) string {
	var spans []string
	if l.Older {
		spans = append(spans, "earlier ones")
	}
	for _, g := range l.Gaps {
		span := strconv.FormatUint(g.First, 10)
		if g.Last > g.First {
			span += "–" + strconv.FormatUint(g.Last, 10)
		}
		spans = append(spans, span)
	}
	last := len(spans) - 1
	if last < 0 {
		return "lacks nothing"
	}
	text := "lacks " + spans[last]
	if last > 0 {
		text = "lacks " + strings.Join(spans[:last], ", ") + " and " + spans[last]
	}
	return text + ", since " + moment(l.Gaps[0].Since-l.Gaps[0].Since%rules.Instant(time.Second))
}

func (m *markdown) lacks(r *Report) {
	if len(r.Lacks) == 0 {
		return
	}
	m.paragraph("## Missing numbers")
	m.paragraph("%s", lacksText)
	for _, l := range r.Lacks {
		m.line("- %s %s", name(l.Server), lackText(l))
	}
	if r.MoreLack > 0 {
		m.WriteByte('\n')
		m.line("… and %d more servers.", r.MoreLack)
	}
	m.WriteByte('\n')
}
