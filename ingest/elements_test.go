package ingest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// split returns the elements of an array as elements finds them.
func split(text string) (list []string, err error) {
	b := bufio.NewReaderSize(strings.NewReader(text), 16) // so that elements lie across its ends
	if array, err := isArray(b); err != nil || !array {
		return nil, errors.Join(err, errors.New("no array"))
	}
	err = elements(b, func(element []byte) error {
		list = append(list, string(element))
		return nil
	})
	return list, err
}

// Every event has a bound in bytes, on both sides of which it is tried: one that is
// longer is refused, alone, whatever it is read from.
func TestEventBytes(t *testing.T) {
	event := sampleEvent
	cloud := strings.Replace(sampleCloudEvent, "eu-1", "s", 1)
	for name, c := range map[string]struct {
		text   string
		decode func([]byte) error
	}{
		"event":      {event, func(b []byte) error { _, err := DecodeEvent(b); return err }},
		"CloudEvent": {cloud, func(b []byte) error { _, err := DecodeCloudEvent(b, "s"); return err }},
	} {
		fits := c.text + strings.Repeat(" ", MaxLineBytes-len(c.text))
		if err := c.decode([]byte(fits)); err != nil {
			t.Errorf("%s of %d bytes: %v", name, len(fits), err)
		}
		if err := c.decode([]byte(fits + " ")); !errors.Is(err, errLongLine) {
			t.Errorf("%s of %d bytes: %v, want %v", name, len(fits)+1, err, errLongLine)
		}
	}
}

// An element of an array that has no end costs no memory, and those beside it nothing.
func TestElementBytes(t *testing.T) {
	const huge = 16 << 20
	batch := io.MultiReader(
		strings.NewReader(`[{"a":1}, "`), io.LimitReader(endless("xx"), huge), strings.NewReader(`", `),
		strings.NewReader(`{"b":2}`), io.LimitReader(endless("  "), huge), strings.NewReader(`,`),
		io.LimitReader(endless("[["), huge), io.LimitReader(endless("]]"), huge), strings.NewReader(`,`),
		io.LimitReader(endless("x "), huge), strings.NewReader(`,{"c":3}]`),
	)
	b := bufio.NewReader(batch)
	if array, err := isArray(b); err != nil || !array {
		t.Fatal(array, err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var lengths []int
	if err := elements(b, func(element []byte) error {
		lengths = append(lengths, len(element))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if want := []int{7, MaxLineBytes + 1, 7, MaxLineBytes + 1, MaxLineBytes + 1, 7}; !reflect.DeepEqual(lengths, want) {
		t.Errorf("elements of %v bytes, want %v", lengths, want)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// endless reads two bytes for ever.
type endless string

func (e endless) Read(b []byte) (int, error) {
	n := 0
	for n+2 <= len(b) {
		n += copy(b[n:], e)
	}
	return n, nil
}

// A number of elements has no bound of its own where they are read: each is given and
// forgotten.
func TestElements(t *testing.T) {
	for text, want := range map[string][]string{
		`[]`:                            nil,
		" [ \n ] \r\n":                  nil,
		`[1]`:                           {"1"},
		`[1 , {"a":[2,"]"]} ,"\"],[" ]`: {"1", `{"a":[2,"]"]}`, `"\"],["`},
		`[,]`:                           {"", ""},
		`[1,]`:                          {"1", ""},
		"[1  2, \t3 \n ]":               {"1 2", "3"},
		`[}]`:                           {"}"},
		`["\\",1]`:                      {`"\\"`, "1"},
	} {
		if got, err := split(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`[`, `[1`, `[1,`, `["]`, `[{]`, `[1]x`, `[1],`} {
		if got, err := split(text); err == nil {
			t.Errorf("%s: %q, want an error", text, got)
		}
	}
}

// Of an array that encoding/json takes the elements are those that it finds.
func FuzzElements(f *testing.F) {
	for _, text := range []string{`[]`, `[1, {"a":[2,"]"]} ,"\"],["]`, ` [ "\\" , [[],{}] ] `, `[{"id":"1"},{"id":"2"}]`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { splitsAsJSON(t, text) })
}

func splitsAsJSON(t testing.TB, text string) {
	t.Helper()
	got, err := split(text)
	var want []json.RawMessage
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") || json.Unmarshal([]byte(text), &want) != nil {
		return
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%q: %q, %v; want %q", text, got, err, want)
	}
	for i := range got {
		if got[i] != string(want[i]) {
			t.Fatalf("%q: element %d is %q, want %q", text, i, got[i], want[i])
		}
	}
}

// What nests and what names things is bounded where anybody may add to an event.
func TestDepthAndNames(t *testing.T) {
	open := strings.TrimSuffix(strings.Replace(sampleCloudEvent, "eu-1", "s", 1), "}")
	attributes, _, _ := strings.Cut(sampleCloudEvent, `"data"`)
	names := strings.Count(attributes, `":`) + 1
	for text, want := range map[string]string{
		`,"x":` + strings.Repeat("[", maxJSONDepth-1) + strings.Repeat("]", maxJSONDepth-1):           "",
		`,"x":` + strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth):               "deeper than 16",
		`,"x":` + strings.Repeat(`{"a":`, maxJSONDepth-1) + "1" + strings.Repeat("}", maxJSONDepth-1): "",
		`,"x":` + strings.Repeat(`{"a":`, maxJSONDepth) + "1" + strings.Repeat("}", maxJSONDepth):     "deeper than 16",
		`,"x":` + strings.Repeat("[", MaxLineBytes/2):                                                 "deeper than 16",
		extensions(maxJSONNames - names):                                                              "",
		extensions(maxJSONNames - names + 1):                                                          "more than 128 names",
	} {
		_, err := DecodeCloudEvent([]byte(open+text+"}"), "s")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s…: %v, want %q", text, err, want)
		}
	}
}

func extensions(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"x%d":1`, i)
	}
	return b.String()
}
