package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"photofinish/rules"
)

const fullEvent = `{"id":"183","type":"kill","at":"2026-11-21T07:00:00.123456789Z","player":"p42","guild":"g7","target":"rabbit","count":2,` +
	`"seq":"18446744073709551615","sku":"s","price":{"amount":999,"currency":"USD"},"attrs":{"weapon":"bow","damage":12.50,"crit":true,"name":"\u00e9\ud83d\ude00\n"}}`

func TestDecodeEvent(t *testing.T) {
	got, err := DecodeEvent([]byte(fullEvent))
	want := rules.Event{
		ID: "183", Type: "kill", At: 1795244400123456789, Player: "p42", Guild: "g7", Target: "rabbit", Count: 2, Seq: 1<<64 - 1,
		SKU: "s", Price: rules.Money{Amount: 999, Currency: "USD"},
		Attrs: map[string]string{"weapon": "bow", "damage": "12.50", "crit": "true", "name": "é😀\n"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	plain, err := DecodeEvent([]byte(` { "id" : "h9" , "type":"heartbeat","at":"2026-11-21T08:00:00+01:00","attrs":{}} `))
	if err != nil || plain.Count != 1 || plain.At != 1795244400000000000 || plain.Attrs != nil {
		t.Errorf("got %+v, %v", plain, err)
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	ok := `"id":"1","type":"kill","at":"2026-11-21T07:00:00Z","player":"p"`
	for text, want := range map[string]string{
		``:                                   "at byte 1 there is no object",
		`[]`:                                 "at byte 1 there is no object",
		`{`:                                  "at byte 2 there is no string",
		`{` + ok:                             "there is no comma or end of the object",
		`{` + ok + `,}`:                      "there is no string",
		`{` + ok + `} {}`:                    "something follows the JSON value",
		`{` + ok + `}` + "\x00":              "something follows the JSON value",
		`{` + ok + `,"Player":"x"}`:          `the field "Player" is not known`,
		`{` + ok + `,"player":"x"}`:          `the name "player" comes twice`,
		`{` + ok + `,"attrs":{"a":1,"a":2}}`: `the name "a" comes twice`,
		`{` + ok + `,"attrs":{"a":null}}`:    `attrs.a "null" is not a string, number or boolean`,
		`{` + ok + `,"attrs":{"a":{}}}`:      `attrs.a "{}" is not a string, number or boolean`,
		`{` + ok + `,"attrs":[]}`:            `attrs "[]" is not an object`,
		`{` + ok + `,"guild":7}`:             `guild "7" is not a string`,
		`{` + ok + `,"count":1.5}`:           `count "1.5" is not a whole number of 64 bits`,
		`{` + ok + `,"count":1e3}`:           `count "1e3" is not a whole number of 64 bits`,
		`{` + ok + `,"count":01}`:            "there is no number",
		`{` + ok + `,"count":9223372036854775808}`: `count "9223372036854775808" is not a whole number of 64 bits`,
		`{` + ok + `,"count":true}`:                `count "true" is not a number`,
		`{` + ok + `,"seq":-1}`:                    `seq "-1" is not a whole number of 64 bits from 0`,
		`{` + ok + `,"price":999}`:                 `price "999" is not an object`,
		`{` + ok + `,"price":{"cents":1}}`:         `the field "price.cents" is not known`,
		`{` + ok + `,"guild":"\ud800"}`:            "half of a surrogate pair stands alone",
		`{` + ok + `,"guild":"\x"}`:                "an escape is not known",
		`{` + ok + `,"guild":"` + "\xff" + `"}`:    "a string is not UTF-8",
		`{` + ok + `,"guild":"\n` + "\xff" + `"}`:  "a string is not UTF-8",
		`{` + ok + `,"guild":"` + "\n" + `"}`:      "a string has a bare control character",
		`{` + ok + `,"attrs":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`: "objects and arrays nest deeper than 16",
		`{"id":"1","type":"kill","player":"p"}`:                                                  `at "" is missing`,
		`{"id":"1","type":"kill","at":1795244400,"player":"p"}`:                                  `at "1795244400" is not a string`,
		`{"id":"1","type":"kill","at":"2026-11-21 07:00:00Z"}`:                                   "is not an RFC 3339 time",
		`{"id":"1","type":"kill","at":"2026-11-21T07:00:00.1234567891Z"}`:                        "is not an RFC 3339 time",
		`{"id":"1","type":"kill","at":"2026-11-21T7:00:00Z"}`:                                    "is not an RFC 3339 time",
		`{"id":"1","type":"kill","at":"2400-11-21T07:00:00Z"}`:                                   "is outside the years 2000 to 2199",
		`{"id":"1","type":"kill","at":"1999-12-31T23:59:59.999999999Z"}`:                         "is outside the years 2000 to 2199",
	} {
		e, err := DecodeEvent([]byte(text))
		var field *FieldError
		var syntax *SyntaxError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &field) && !errors.As(err, &syntax) {
			t.Errorf("%s: %+v, %v; want %s", text, e, err, want)
		}
	}
}

func TestDecodeCloudEvent(t *testing.T) {
	ok := `"specversion":"1.0","id":"1","source":"eu-1","type":"com.example.kill","time":"2026-11-21T07:00:00Z"`
	e, err := DecodeCloudEvent([]byte(`{`+ok+`,"sequence":"42","subject":"x","datacontenttype":"application/json; charset=utf-8","traceparent":{"a":[1]},"data":{"player":"p","count":3}}`), "eu-1")
	if err != nil || e.ID != "1" || e.Type != "kill" || e.Seq != 42 || e.Player != "p" || e.Count != 3 || e.At != 1795244400000000000 {
		t.Errorf("%+v, %v", e, err)
	}
	for text, want := range map[string]string{
		`{` + ok + `,"data":{"type":"kill"}}`:                                      `the field "type" is not known`,
		`{` + ok + `,"data":"x"}`:                                                  `data "\"x\"" is not an object`,
		`{` + ok + `,"data_base64":"x"}`:                                           `the field "data_base64" is not known`,
		`{` + ok + `,"datacontenttype":"text/xml"}`:                                `datacontenttype "text/xml" is not JSON`,
		`{` + strings.Replace(ok, "1.0", "0.3", 1) + `}`:                           `specversion "0.3" is not "1.0"`,
		`{` + strings.Replace(ok, "eu-1", "eu-2", 1) + `}`:                         `source "eu-2" is not the server`,
		`{` + strings.Replace(ok, `"time"`, `"when"`, 1) + `}`:                     `time "" is missing`,
		`{` + strings.Replace(ok, `"type":"com`, `"type":"", "a":"com`, 1) + `} x`: "something follows",
	} {
		if e, err := DecodeCloudEvent([]byte(text), "eu-1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %s", text, e, err, want)
		}
	}
}

// Whatever is taken is JSON to encoding/json too, and says the same there.
func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(fullEvent))
	f.Add([]byte(`{"id":"1","type":"kill","at":"2026-11-21T07:00:00Z","player":"p","attrs":{"a":-0.1e+5,"b":false}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"a.kill","time":"2026-11-21T07:00:00Z","x":[[],{}],"data":{"player":"p"}}`))
	f.Fuzz(func(t *testing.T, text []byte) { readAsJSON(t, text) })
}

func readAsJSON(t testing.TB, text []byte) {
	t.Helper()
	_, cloudErr := DecodeCloudEvent(text, "s")
	if cloudErr == nil && !json.Valid(text) {
		t.Fatalf("%q is no JSON", text)
	}
	e, err := DecodeEvent(text)
	if err != nil {
		return
	}
	var other struct{ ID, Type, Player, Target, Guild, SKU string }
	if err := json.Unmarshal(text, &other); err != nil {
		t.Fatalf("%q: encoding/json says %v", text, err)
	}
	if other.ID != e.ID || other.Type != e.Type || other.Player != e.Player || other.Target != e.Target || other.Guild != e.Guild || other.SKU != e.SKU {
		t.Fatalf("%q: %+v, encoding/json read %+v", text, e, other)
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add(sampleRecord())
	f.Fuzz(func(t *testing.T, b []byte) { comesBack(t, b) })
}

func sampleRecord() []byte {
	var r record
	r.Event, _ = DecodeEvent([]byte(fullEvent))
	r.Server, r.Region, r.Instant, r.receivedNs = "s", "r", r.At+5, 9
	r.Earliest, r.Latest, r.Backdated = r.Instant-7, r.Instant+8, true
	r.Content = r.Digest()
	return r.appendTo(nil)
}

// comesBack checks that what is read as a record is written as that.
func comesBack(t testing.TB, b []byte) {
	t.Helper()
	r, err := readRecord(b)
	if err != nil {
		return
	}
	again, err := readRecord(r.appendTo(nil))
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Fatalf("%+v came back as %+v, %v", r, again, err)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	r := newRand(11)
	for range 60 {
		var rec record
		rec.Event = rules.Event{
			Server: "s", Region: "r", ID: fmt.Sprint(r.Uint64()), Type: "kill", At: rules.Instant(r.Int64()), Player: strings.Repeat("é", r.IntN(200)),
			Count: r.Int64(), Price: rules.Money{Amount: -r.Int64(), Currency: "USD"}, Seq: r.Uint64(),
		}
		for i := range r.IntN(MaxAttrs + 1) {
			if rec.Attrs == nil {
				rec.Attrs = map[string]string{}
			}
			rec.Attrs[fmt.Sprint(i)] = strings.Repeat("v", r.IntN(300))
		}
		rec.Instant, rec.receivedNs, rec.Backdated = rules.Instant(r.Int64()>>2), r.Int64(), r.IntN(2) == 0
		rec.Earliest, rec.Latest = rec.Instant-rules.Instant(r.Int64()>>2), rec.Instant+rules.Instant(r.Int64()>>2)
		rec.Content = rec.Digest()
		b := rec.appendTo(nil)
		got, err := readRecord(b)
		if err != nil || !reflect.DeepEqual(got, rec) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, rec)
		}
		for n := range b {
			if _, err := readRecord(b[:n]); !errors.Is(err, errRecord) {
				t.Fatalf("cut to %d of %d bytes: %v", n, len(b), err)
			}
		}
	}
}
