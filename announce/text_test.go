package announce_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"photofinish/announce"
	"photofinish/rules"
)

// written are all the forms in which the nasty names appear.
func written(t *testing.T) (doc, md, page string, pictures []announce.Picture) {
	t.Helper()
	reports := build(t, history(t), announce.One(5))
	var j, m, h bytes.Buffer
	if err := announce.WriteJSON(&j, &reports[0]); err != nil {
		t.Fatal(err)
	}
	if err := announce.WriteMarkdown(&m, reports); err != nil {
		t.Fatal(err)
	}
	if err := (announce.Page{Title: nasty[0]}).WriteHTML(&h, reports); err != nil {
		t.Fatal(err)
	}
	return j.String(), m.String(), h.String(), announce.Pictures(&reports[0])
}

// JSON says every name exactly, but no character of it can steer a terminal.
func TestNastyJSON(t *testing.T) {
	doc, _, _, _ := written(t)
	var report struct {
		Conflicts []announce.Conflict
	}
	if err := json.Unmarshal([]byte(doc), &report); err != nil {
		t.Fatal(err)
	}
	for i, c := range report.Conflicts {
		if want := strings.ToValidUTF8(nasty[i], "\ufffd"); c.ID != want && !strings.HasPrefix(nasty[i], "ends broken") {
			t.Errorf("name %q became %q", want, c.ID)
		}
	}
	steersNothing(t, doc)
}

// steersNothing fails for a hidden character, except those that we write.
func steersNothing(t *testing.T, text string) {
	t.Helper()
	for _, c := range text {
		ours := c == '\n' || c == '\u200b' || c == '\u2068' || c == '\u2069' || c == '\u200d'
		if !ours && c != ' ' && unicode.In(c, unicode.Cc, unicode.Cf, unicode.Z) {
			t.Errorf("%U is written as it is", c)
		}
	}
}

// In Markdown no name begins a line, a tag, a link or a mention.
func TestNastyMarkdown(t *testing.T) {
	_, md, _, _ := written(t)
	steersNothing(t, md)
	code := regexp.MustCompile("`[0-9a-z:]+`")
	picture := regexp.MustCompile(`(?m)^!\[(.*)\]\(photo-finish-[-0-9a-z]+\.svg\)$`)
	md = picture.ReplaceAllString(code.ReplaceAllString(md, ""), "$1")
	for _, bad := range []string{
		"(^|[^\\\\])(\\\\\\\\)*[<\\[\\]`]", // neither tags nor links nor code
		`@[^\x{200b}]`,
		`https?:/`, `www\.[a-z]`,
		`&(amp|lt|copy);|&#`,
	} {
		// A backslash before & is one of ours.
		for _, found := range regexp.MustCompile(bad).FindAllStringIndex(md, -1) {
			if found[0] > 0 && md[found[0]] == '&' && md[found[0]-1] == '\\' {
				continue
			}
			t.Errorf("%s matches at %q", bad, md[max(0, found[0]-20):min(len(md), found[1]+20)])
		}
	}
	for line := range strings.SplitSeq(md, "\n") {
		cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if strings.HasPrefix(line, "|") && cells != 7 {
			t.Errorf("a row of %d bars: %s", cells, line)
		}
		if line != "" && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "- ") && nastyLine(line) {
			t.Errorf("a name begins a line: %s", line)
		}
	}
}

func nastyLine(line string) bool {
	return strings.HasPrefix(line, "item") || strings.HasPrefix(line, "break") || strings.HasPrefix(line, "heading")
}

// A page has no tags and attributes but those of its template and pictures, and
// takes its style from nowhere else.
func TestNastyPage(t *testing.T) {
	_, _, page, _ := written(t)
	head, body, _ := strings.Cut(page, "</style>")
	if strings.Contains(head, "<script") {
		t.Error("the title is not encoded")
	}
	if strings.Contains(body, "<style") || strings.Contains(body, " style=") {
		t.Error("the body has a style of its own")
	}
	if !strings.Contains(head, "default-src &#39;none&#39;; style-src &#39;sha256-") {
		t.Error("the page has no policy")
	}
	steersNothing(t, body)
	tags := []string{
		"div", "header", "p", "main", "article", "section", "h1", "h2", "h3", "ul", "li", "a", "b", "small", "bdi", "span", "br",
		"details", "summary", "table", "thead", "tbody", "tr", "th", "td", "footer", "body", "head", "html",
		"svg", "title", "desc", "g", "text", "line", "rect", "circle", "path",
	}
	attributes := []string{
		"class", "id", "href", "xmlns", "viewBox", "width", "height", "role", "aria-labelledby", "unicode-bidi",
		"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "d", "transform", "dominant-baseline",
	}
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(body, -1) {
		words := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(strings.Trim(tag, "</>"), "")
		fields := strings.Fields(strings.ReplaceAll(words, "=", " "))
		if !slices.Contains(tags, fields[0]) {
			t.Errorf("tag %s", tag)
		}
		for _, a := range fields[1:] {
			if !slices.Contains(attributes, a) {
				t.Errorf("attribute %s in %s", a, tag)
			}
		}
	}
	for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if !strings.HasPrefix(href[1], "#") {
			t.Errorf("a link leads away: %s", href[1])
		}
	}
}

// A picture is well-formed XML with the names in its texts, and loads nothing.
func TestNastyPicture(t *testing.T) {
	_, _, _, pictures := written(t)
	if len(pictures) < 3 {
		t.Fatalf("%d pictures", len(pictures))
	}
	for _, p := range pictures {
		steersNothing(t, string(p.SVG))
		decoder := xml.NewDecoder(bytes.NewReader(p.SVG))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
			start, ok := token.(xml.StartElement)
			if ok && !slices.Contains([]string{"svg", "title", "desc", "style", "g", "text", "line", "rect", "circle", "path"}, start.Name.Local) {
				t.Errorf("%s: element %s", p.Name, start.Name.Local)
			}
		}
		if strings.Contains(string(p.SVG), "href") || strings.Contains(string(p.SVG), "url(") {
			t.Errorf("%s refers to something", p.Name)
		}
		if !regexp.MustCompile(`^[-0-9a-zA-Z.]+$`).MatchString(p.Name) {
			t.Errorf("the name %q is not a file name", p.Name)
		}
	}
}

// A picture is drawn where the first two are close, on both sides of each bound.
func TestClose(t *testing.T) {
	const s = int64(1e9)
	for _, c := range []struct {
		name          string
		gap, e1, e2   int64
		place, runner int
		want          bool
	}{
		{"a minute", 60 * s, 0, 0, 1, 1, true},
		{"more than a minute", 60*s + 1, 0, 0, 1, 1, false},
		{"ten times the error", 100 * s, 10 * s, 0, 1, 1, true},
		{"more than ten times the error", 100*s + 10, 0, 10 * s, 1, 1, false},
		{"the bars touch", 3600 * s, 3000 * s, 600 * s, 1, 1, true},
		{"nobody came second", 0, 0, 0, 1, 0, false},
		{"an achievement", 0, 0, 0, 0, 1, false},
	} {
		at := at("2026-11-20T07:00:00Z")
		one := rules.Claim{Subject: "a", At: at, Point: at, Earliest: at - rules.Instant(c.e1), Latest: at + rules.Instant(c.e1)}
		at += rules.Instant(c.gap)
		two := rules.Claim{Subject: "b", At: at, Point: at, Earliest: at - rules.Instant(c.e2), Latest: at + rules.Instant(c.e2)}
		entry := award("boss-7", "world", c.place, rules.Provisional, false, one, []rules.Claim{two}[:c.runner]...)
		l := &ledger{rulesets: history(t).rulesets}
		l.settle("2026-11-21T00:00:00Z", rules.Settled{}, nil, entry)
		if got := announce.Close(build(t, l, announce.One(1))[0].Awards); got != c.want {
			t.Errorf("%s: close is %v", c.name, got)
		}
	}
}

// Whose server is fast is shown and placed by the corrected clocks: Ann's is 30 s fast,
// and she won by 2 s all the same. A stamp of whole seconds is within one second.
func TestFastServer(t *testing.T) {
	const s = rules.Instant(1e9)
	stamp := at("2026-11-20T07:00:40Z")
	ann := rules.Claim{Subject: "Ann", At: stamp, Point: stamp - 30*s, Earliest: stamp - 30*s, Latest: stamp - 29*s - 1}
	bo := rules.Claim{Subject: "Bo", At: stamp - 28*s, Point: stamp - 28*s, Earliest: stamp - 28*s, Latest: stamp - 27*s - 1}
	l := &ledger{rulesets: history(t).rulesets}
	l.settle("2026-11-21T00:00:00Z", rules.Settled{}, nil, award("boss-7", "world", 1, rules.Provisional, false, ann, bo))
	reports := build(t, l, announce.One(1))
	pictures := announce.Pictures(&reports[0])
	if len(pictures) != 1 || !strings.Contains(pictures[0].Alt, "Ann beat Bo by 2 s.") {
		t.Errorf("the picture says %+v", pictures)
	}
	var text bytes.Buffer
	if err := announce.WriteMarkdown(&text, reports); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"within the second of 2026-11-20 07:00:10 ", "within the second of 2026-11-20 07:00:12)"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, text.String())
		}
	}
}

// Large counts are grouped in every place, and a node that spoke in the middle of a second
// did so in that second.
func TestCountsAndLagAreShort(t *testing.T) {
	lag := announce.Lag{Node: "eu", Since: rules.Instant(1_800_000_000_183_535_442)}
	r := announce.Report{Cut: &announce.Cut{Number: 2, From: 1, Events: 464_486, Late: 183_477, Lagging: []announce.Lag{lag}}}
	var b strings.Builder
	if err := announce.WriteMarkdown(&b, []announce.Report{r}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"183,477 late", "since 2027-01-15 08:00:00"} {
		if !strings.Contains(text, want) || strings.Contains(text, "08:00:00.") {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}
