package announce_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"photofinish/announce"
	"photofinish/rules"
)

// A brief report has of each rule the first places, or who came first, in the order of the
// list; it counts what it left out, and says where that is. A report with less is as it was.
func TestBrief(t *testing.T) {
	l := history(t)
	var entries []rules.Entry
	for i := range 300 { // the earlier, the later by name
		c := claim(fmt.Sprintf("m%03d", 999-i), "2026-11-21T07:00:00Z", 0, "lamp")
		c.At += rules.Instant(i) * rules.Instant(time.Second)
		c.Point, c.Earliest, c.Latest = c.At, c.At, c.At
		entries = append(entries, award("moth-hunter", "world", 0, rules.Provisional, false, c))
	}
	for region := range 30 {
		for place := 1; place < 3; place++ {
			c := claim(fmt.Sprintf("b%d", place), "2026-11-21T07:00:00Z", time.Second, "banner")
			entries = append(entries, award("boss-7", fmt.Sprintf("region:r%02d", region), place, rules.Held, false, c, claim("next", "2026-11-21T08:00:00Z", 0, "")))
		}
	}
	first := uint64(len(l.cuts) + 1)
	l.settle("2027-01-02T00:00:00Z", rules.Settled{Events: 1}, nil, entries...)
	whole := build(t, l, announce.One(first))
	before := encoded(t, whole)
	same := announce.Brief(&whole[0], 300)
	if want, got := pages(t, whole), pages(t, []announce.Report{same}); want != got {
		t.Errorf("with less than the bound: %s", difference(want, got))
	}
	brief := announce.Brief(&whole[0], 15)
	if encoded(t, whole) != before {
		t.Error("the report was changed")
	}
	var names []string
	for _, a := range brief.Awards {
		names = append(names, a.Scope+" "+a.Subject)
	}
	var want []string
	for region := range 7 {
		want = append(want, fmt.Sprintf("region:r%02d b1", region), fmt.Sprintf("region:r%02d b2", region))
	}
	want = append(want, "region:r07 b1")
	for i := range 15 {
		want = append(want, fmt.Sprintf("world m%03d", 985+i))
	}
	if got := strings.Join(names, ","); got != strings.Join(want, ",") {
		t.Errorf("it has %s", got)
	}
	if got := fmt.Sprint(brief.AwardsOmitted); got != "[{boss-7 45} {moth-hunter 285}]" {
		t.Errorf("it leaves out %s", got)
	}
	page := func(p announce.Page, r announce.Report) string {
		var b bytes.Buffer
		if err := p.WriteHTML(&b, []announce.Report{r}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	text := page(announce.Page{Awards: func(rule string) string { return "/list?of=" + rule }}, brief)
	for _, want := range []string{
		"<b>360</b>awards</a><small>300 final, 60 held</small>", "… and 285 more.", "… and 1 more.", "… and 22 more contests.",
		`… and 45 more awards of <bdi>boss-7</bdi> stand: <a href="/list?of=boss-7">`, `… and 285 more awards of <bdi>moth-hunter</bdi> stand: <a href="/list?of=moth-hunter">`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if text := page(announce.Page{}, brief); !strings.Contains(text, "285 more awards of <bdi>moth-hunter</bdi> stand.") {
		t.Error("without an address the page does not say how many there are")
	}
}
