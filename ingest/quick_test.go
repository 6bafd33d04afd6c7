package ingest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"photofinish/rules"
)

// sampleEvent is the kill of the documentation, as a game server would send it.
const sampleEvent = `{"id":"183","type":"kill","at":"2026-11-21T07:00:00.123456789Z","player":"p42","guild":"g7","target":"rabbit","count":1,"seq":183,"attrs":{"weapon":"bow"}}`

const sampleCloudEvent = `{"specversion":"1.0","id":"183","source":"eu-1","type":"com.example.kill","time":"2026-11-21T07:00:00Z","datacontenttype":"application/json",` +
	`"subject":"x","sequence":"183","data":{"player":"p42","count":3}}`

// What ordinary programs send is read without the strict reader, and as it reads it.
func TestQuickTakesTheOrdinary(t *testing.T) {
	for _, text := range []string{
		sampleEvent,
		strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(sampleEvent),
		strings.NewReplacer(`{`, "{\n\t", `,"`, ",\r\n\t\"", `}`, "\n}").Replace(sampleEvent),
		strings.Replace(sampleEvent, `"seq":183`, `"seq":"183"`, 1),
		strings.Replace(sampleEvent, "p42", "Zoë 雪", 1),
		strings.Replace(sampleEvent, `{"weapon":"bow"}`, `{"weapon":"bow","damage":12,"crit":true,"head":false}`, 1),
		strings.Replace(sampleEvent, `{"weapon":"bow"}`, `{}`, 1),
		strings.Replace(sampleEvent, "00.123456789Z", "00+01:00", 1),
		`{"id":"b17","type":"purchase","at":"2028-02-29T07:00:00Z","player":"p42","sku":"celestial-mount","count":1,"price":{"amount":999,"currency":"USD"}}`,
		`{"id":"h9","type":"heartbeat","at":"2026-11-21T07:00:00.5Z"}`,
	} {
		got, ok := quickEvent([]byte(text))
		want, err := strictEvent([]byte(text))
		if !ok || err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %+v; the strict reader %+v, %v", text, ok, got, want, err)
		}
	}
	got, ok := quickCloudEvent([]byte(sampleCloudEvent), "eu-1")
	want, err := strictCloudEvent([]byte(sampleCloudEvent), "eu-1")
	if !ok || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %+v; the strict reader %+v, %v", ok, got, want, err)
	}
}

// An event costs the copy of its text and the two parts of a map, whatever its fields.
func TestDecodeEventAllocates(t *testing.T) {
	text := []byte(sampleEvent)
	if n := testing.AllocsPerRun(100, func() { _, _ = DecodeEvent(text) }); n > 3 {
		t.Errorf("%v allocations, want at most 3", n)
	}
}

// names and values are what the texts of a fuzz are put together from. Of the names an
// object of the log's own has, and those of a CloudEvent; of the values those that a
// field may have, and those that are almost so.
var names = []string{
	`"id"`, `"type"`, `"at"`, `"player"`, `"guild"`, `"target"`, `"sku"`, `"count"`, `"seq"`, `"price"`, `"attrs"`,
	`"specversion"`, `"source"`, `"time"`, `"sequence"`, `"subject"`, `"datacontenttype"`, `"data"`, `"x"`, `""`, `"\u0069d"`, `"Id"`, `id`,
}

var values = []string{
	`"a"`, `""`, `"1.0"`, `"s"`, `"a.kill"`, `"2026-11-21T07:00:00.123456789Z"`, `"2028-02-29T00:00:00Z"`, `"2027-02-29T00:00:00Z"`, `"2199-12-31T23:59:59+01:00"`,
	`"1999-12-31T23:59:59Z"`, `"2026-11-21T07:00:00.Z"`, `"2026-11-21T07:00:60Z"`, `"2026-11-31T07:00:00,5Z"`, `"application/json"`, `"text/xml"`, `"é雪"`, "\"\xff\"", `"\u00e9\ud83d\ude00"`, `"\ud800"`, "\"\x01\"",
	`0`, `7`, `183`, `01`, `-1`, `-0`, `1.5`, `1e3`, `"7"`, `"007"`, `"+7"`, `" 7"`, `999999999999999999`, `1000000000000000000`, `9223372036854775808`, `18446744073709551616`, `"18446744073709551615"`,
	`true`, `false`, `null`, `tru`, `[]`, `[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]`, `{}`, `{"amount":999,"currency":"USD"}`, `{"amount":"1","amount":2}`, `{"currency":1}`,
	`{"a":"b"}`, `{"a":1,"b":true,"é":"é"}`, `{"a":"1","a":"2"}`, `{"a":null}`, `{"a":1.5}`, `{"player":"p","count":3,"seq":"4"}`, `{"id":"1"}`, ``, attrsOf(MaxAttrs), attrsOf(MaxAttrs + 1),
}

func attrsOf(n int) string {
	text := `{"a0":0`
	for i := 1; i < n; i++ {
		text += fmt.Sprintf(`,"a%d":%d`, i, i)
	}
	return text + "}"
}

// build makes a JSON text of a choice: two bytes are a name and its value, and one in
// sixteen of the pairs is followed by something else than a comma.
func build(choice []byte) []byte {
	between := []string{",", " , ", "", "}", ",,", "\n,", ":", "\x00"}
	text := []byte("{")
	for i := 0; i+1 < len(choice); i += 2 {
		if i > 0 {
			separator := ","
			if choice[i] >= 240 {
				separator = between[choice[i]%8]
			}
			text = append(text, separator...)
		}
		text = append(text, names[int(choice[i])%len(names)]...)
		text = append(text, ':')
		text = append(text, values[int(choice[i+1])%len(values)]...)
	}
	text = append(text, '}')
	if len(choice)%2 == 1 { // what is cut off, or followed by something
		last := choice[len(choice)-1]
		text = append(text[:len(text)-int(last)%min(len(text), 8)], []string{"", " ", "\t\r\n", "x"}[last/64]...)
	}
	return text
}

// choose is the inverse of build, for what it can build: seeds.
func choose(pairs ...string) (choice []byte) {
	for i, pair := range pairs {
		list := [][]string{names, values}[i%2]
		for at, s := range list {
			if s == pair {
				choice = append(choice, byte(at))
			}
		}
	}
	return choice
}

// Texts that are almost what a program would send: some of them events, most of these
// for the quick reader, and some that are refused. A number makes the same text on every
// run. PFTEST_TEXTS asks for more of them and PFTEST_FIRST_TEXT for those from a number
// on, so that many can be tried in parts:
//
//	PFTEST_FIRST_TEXT=5000000 PFTEST_TEXTS=5000000 go test ./ingest -run QuickAgrees
func TestQuickAgrees(t *testing.T) {
	texts, first := 20_000, 0
	if n, err := strconv.Atoi(os.Getenv("PFTEST_TEXTS")); err == nil {
		texts = n
	}
	if n, err := strconv.Atoi(os.Getenv("PFTEST_FIRST_TEXT")); err == nil {
		first = n
	}
	var event, cloud [2]int // read quickly, strictly
	for n := range texts {
		text := almost(newRand(uint64(first + n)))
		got, err := DecodeEvent(text)
		want, wantErr := strictEvent(text)
		same(t, text, got, want, err, wantErr)
		_, quick := quickEvent(text)
		tally(&event, quick, err)
		got, err = DecodeCloudEvent(text, "s")
		want, wantErr = strictCloudEvent(text, "s")
		same(t, text, got, want, err, wantErr)
		_, quick = quickCloudEvent(text, "s")
		tally(&cloud, quick, err)
	}
	if min(event[0], cloud[0]) < texts/10 || min(event[1], cloud[1]) < texts/500 {
		t.Errorf("%d and %d of the events, %d and %d of the CloudEvents were read quickly and strictly: the texts are too wild", event[0], event[1], cloud[0], cloud[1])
	}
}

// almost makes a text of an event or CloudEvent in which some names, values and bytes
// are others.
func almost(r *rand.Rand) []byte {
	choice := choose(
		`"id"`, `"a"`, `"at"`, `"2026-11-21T07:00:00.123456789Z"`, `"attrs"`, `{"a":1,"b":true,"é":"é"}`, `"price"`, `{"amount":999,"currency":"USD"}`, `"seq"`, `"7"`,
	)
	if r.IntN(2) == 0 {
		choice = choose(
			`"specversion"`, `"1.0"`, `"source"`, `"s"`, `"type"`, `"a.kill"`, `"time"`, `"2028-02-29T00:00:00Z"`, `"data"`, `{"player":"p","count":3,"seq":"4"}`, `"subject"`, `"a"`,
		)
	}
	for range r.IntN(3) {
		at := 2 * r.IntN(len(choice)/2)
		switch r.IntN(4) {
		case 0:
			choice[at] = byte(r.IntN(256))
		case 1:
			choice = append(choice, byte(r.IntN(len(names))), byte(r.IntN(len(values))))
		default:
			choice[at+1] = byte(r.IntN(len(values)))
		}
	}
	if r.IntN(16) == 0 {
		choice = append(choice, byte(r.IntN(256)))
	}
	text := build(choice)
	if r.IntN(4) == 0 && len(text) > 0 {
		const bytes = "{}[]\":,\\ \t\n0123456789.-+eEtfnZ\x00\x1f\x7f\xc3\xa9\xff"
		at := r.IntN(len(text))
		switch c := bytes[r.IntN(len(bytes))]; r.IntN(3) {
		case 0:
			text[at] = c
		case 1:
			text = slices.Insert(text, at, c)
		default:
			text = slices.Delete(text, at, at+1)
		}
	}
	return text
}

func tally(n *[2]int, quick bool, err error) {
	if quick {
		n[0]++
	} else if err == nil {
		n[1]++
	}
}

// Both readers of an event give the same event and the same error, for any text. What a
// run has found lies in Go's cache, so that the next goes on from there; it is slow,
// since the counters of everything that is linked are read for each text:
//
//	go test ./ingest -run '^$' -fuzz FuzzQuickEvent -fuzzminimizetime 1x -fuzztime 1000000x
func FuzzQuickEvent(f *testing.F) {
	f.Add([]byte(fullEvent), false)
	f.Add([]byte(sampleEvent), false)
	f.Add(choose(`"at"`, `"2026-11-21T07:00:00.123456789Z"`, `"id"`, `"a"`, `"attrs"`, `{"a":1,"b":true,"é":"é"}`, `"price"`, `{"amount":999,"currency":"USD"}`, `"seq"`, `"7"`), true)
	f.Fuzz(func(t *testing.T, text []byte, built bool) {
		if built {
			text = build(text)
		}
		text = text[:min(len(text), MaxLineBytes)]
		asStrict(t, text)
	})
}

func asStrict(t testing.TB, text []byte) {
	t.Helper()
	got, err := DecodeEvent(text)
	want, wantErr := strictEvent(text)
	same(t, text, got, want, err, wantErr)
}

// As FuzzQuickEvent.
func FuzzQuickCloudEvent(f *testing.F) {
	f.Add([]byte(strings.Replace(sampleCloudEvent, "eu-1", "s", 1)), false)
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"a.kill","time":"2026-11-21T07:00:00Z","x":[[],{}],"data":{"player":"p"}}`), false)
	f.Add(choose(`"specversion"`, `"1.0"`, `"source"`, `"s"`, `"type"`, `"a.kill"`, `"time"`, `"2028-02-29T00:00:00Z"`, `"data"`, `{"player":"p","count":3,"seq":"4"}`), true)
	f.Fuzz(func(t *testing.T, text []byte, built bool) {
		if built {
			text = build(text)
		}
		text = text[:min(len(text), MaxLineBytes)]
		cloudAsStrict(t, text)
	})
}

func cloudAsStrict(t testing.TB, text []byte) {
	t.Helper()
	got, err := DecodeCloudEvent(text, "s")
	want, wantErr := strictCloudEvent(text, "s")
	same(t, text, got, want, err, wantErr)
}

func same(t testing.TB, text []byte, got, want rules.Event, err, wantErr error) {
	t.Helper()
	if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %+v, %v; the strict reader %+v, %v", text, got, err, want, wantErr)
	}
}

// What is read quickly is read as rules.ParseInstant reads it.
func FuzzQuickInstant(f *testing.F) {
	for _, text := range values {
		f.Add(strings.Trim(text, `"`))
	}
	f.Add("2000-02-29T23:59:59.000000001Z")
	f.Add("2100-03-01T00:00:00Z")
	f.Fuzz(func(t *testing.T, text string) { instantAsParsed(t, text) })
}

func instantAsParsed(t testing.TB, text string) {
	t.Helper()
	if got, ok := quickInstant(text); ok {
		if want, err := rules.ParseInstant(text); err != nil || got != want {
			t.Fatalf("%q: %v, want %v, %v", text, got, want, err)
		}
	}
}

// Every day of the two centuries, and every time of a day, is read as
// rules.ParseInstant reads it, and no other.
func TestQuickInstantOfEveryDay(t *testing.T) {
	check := func(form string, numbers ...any) {
		text := fmt.Sprintf(form, numbers...)
		got, ok := quickInstant(text)
		if want, err := rules.ParseInstant(text); ok != (err == nil) || got != want {
			t.Fatalf("%s: %v, %v; want %v, %v", text, got, ok, want, err)
		}
	}
	for year := 1999; year <= 2200; year++ {
		for month := range 14 {
			for day := range 33 {
				check("%04d-%02d-%02dT23:59:58.25Z", year, month, day)
			}
		}
	}
	for n := range 12 {
		check("2026-11-21T07:00:00.%0*dZ", n, n)
	}
	const sample = "2026-11-21T07:00:00.123456789Z"
	for at := range sample {
		for c := range 256 {
			text := sample[:at] + string([]byte{byte(c)}) + sample[at+1:]
			if _, ok := quickInstant(text); ok { // else it may be read by the other
				check("%s", text)
			}
		}
	}
	for n := range 100 {
		check("2026-11-21T%02d:00:00Z", n)
		check("2026-11-21T00:%02d:00Z", n)
		check("2026-11-21T00:00:%02dZ", n)
	}
}
