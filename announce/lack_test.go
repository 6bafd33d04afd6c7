package announce_test

import (
	"bytes"
	"strings"
	"testing"

	"photofinish/announce"
)

// Operators read which servers lack which numbers as of the report's last cut, in every
// form, and nothing of servers that do not number without holes; the public reads nothing
// of it.
func TestLacks(t *testing.T) {
	l := history(t)
	for _, c := range []struct {
		sel  announce.Selection
		want bool
	}{
		{announce.One(2), false},
		{announce.One(3), true},
		{announce.Range(1, 3), true},
		{announce.One(4), false}, // what was missing has come
		{announce.Range(1, 4), false},
	} {
		reports := build(t, l, c.sel)
		var text, page bytes.Buffer
		if err := announce.WriteMarkdown(&text, reports); err != nil {
			t.Fatal(err)
		}
		if err := (announce.Page{}).WriteHTML(&page, reports); err != nil {
			t.Fatal(err)
		}
		for form, said := range map[string]struct{ text, want string }{
			"Markdown": {text.String(), "- eu-3 lacks 1042–1053 and 1060, since 2026-11-20 09:02:00\n"},
			"HTML":     {page.String(), "<bdi>eu-3</bdi> lacks 1042–1053 and 1060, since 2026-11-20 09:02:00"},
			"facts":    {text.String(), "2 servers (with missing numbers)"},
			"JSON":     {encoded(t, reports), `{"server":"eu-3","gaps":[{"first":"1042","last":"1053","since":"2026-11-20T09:02:00Z"},{"first":"1060",`},
		} {
			if strings.Contains(said.text, said.want) != c.want {
				t.Errorf("%s of cut %d: %q is there: %t\n%s", form, reports[0].Cut.Number, said.want, !c.want, said.text)
			}
			if strings.Contains(said.text, "logs") {
				t.Errorf("%s of cut %d names a server that does not number without holes", form, reports[0].Cut.Number)
			}
		}
		public := announce.Public(&reports[0])
		for _, said := range []string{"eu-3", "1042", "missing numbers", "more servers"} {
			if c.want && strings.Contains(forms(t, []announce.Report{public}), said) {
				t.Errorf("the public reads %q", said)
			}
		}
	}
}
