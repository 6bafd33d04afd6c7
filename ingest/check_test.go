package ingest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
)

func TestCheckBounds(t *testing.T) {
	base := func() rules.Event {
		e := event("1", 0)
		e.Server, e.Region = "s", "r"
		return e
	}
	long := func(n int) string { return strings.Repeat("x", n) }
	attrs := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("a", i)] = ""
		}
		return m
	}
	for name, c := range map[string]struct {
		change func(*rules.Event)
		want   string // of the error; empty: taken
	}{
		"as it is":          {func(*rules.Event) {}, ""},
		"no server":         {func(e *rules.Event) { e.Server = "" }, `server "" is missing`},
		"long server":       {func(e *rules.Event) { e.Server = long(MaxNameBytes + 1) }, "is longer than 128 bytes"},
		"server of a URI":   {func(e *rules.Event) { e.Server = "urn:eu/1" }, ""},
		"no region":         {func(e *rules.Event) { e.Region = "" }, `region "" is missing`},
		"no id":             {func(e *rules.Event) { e.ID = "" }, `id "" is missing`},
		"longest id":        {func(e *rules.Event) { e.ID = long(MaxIDBytes) }, ""},
		"too long id":       {func(e *rules.Event) { e.ID = long(MaxIDBytes + 1) }, "is longer than 320 bytes"},
		"own type":          {func(e *rules.Event) { e.Type = "Boss_down.v2-x" }, ""},
		"no type":           {func(e *rules.Event) { e.Type = "" }, `type "" is missing`},
		"spaced type":       {func(e *rules.Event) { e.Type = "a b" }, `type "a b" is not a letter`},
		"type of a digit":   {func(e *rules.Event) { e.Type = "2fast" }, `type "2fast" is not a letter`},
		"kill by nobody":    {func(e *rules.Event) { e.Player = "" }, `player "" is missing`},
		"other by nobody":   {func(e *rules.Event) { e.Type, e.Player = "boss", "" }, ""},
		"longest player":    {func(e *rules.Event) { e.Player = long(MaxTextBytes) }, ""},
		"too long player":   {func(e *rules.Event) { e.Player = long(MaxTextBytes + 1) }, "is longer than 256 bytes"},
		"NUL":               {func(e *rules.Event) { e.Player = "a\x00b" }, `player "a\x00b" has a control character`},
		"newline":           {func(e *rules.Event) { e.Target = "a\nb" }, `target "a\nb" has a control character`},
		"C1 control":        {func(e *rules.Event) { e.Guild = "é\u0085" }, "has a control character"},
		"DEL":               {func(e *rules.Event) { e.Guild = "\x7f" }, "has a control character"},
		"not UTF-8":         {func(e *rules.Event) { e.SKU = "\xff" }, `sku "\xff" is not UTF-8`},
		"any script":        {func(e *rules.Event) { e.Player = "日本語 ♞ \u202e" }, ""},
		"bare purchase":     {func(e *rules.Event) { e.Type = rules.TypePurchase }, `sku "" is missing`},
		"purchase":          {func(e *rules.Event) { e.Type, e.SKU = rules.TypePurchase, "m" }, ""},
		"count of 0":        {func(e *rules.Event) { e.Count = 0 }, `count "0" is not from 1`},
		"highest count":     {func(e *rules.Event) { e.Count = MaxCount }, ""},
		"too high count":    {func(e *rules.Event) { e.Count = MaxCount + 1 }, "is not from 1"},
		"negative count":    {func(e *rules.Event) { e.Count = math.MinInt64 }, "is not from 1"},
		"price":             {func(e *rules.Event) { e.Price = rules.Money{Amount: 999, Currency: "USD"} }, ""},
		"free":              {func(e *rules.Event) { e.Price = rules.Money{Currency: "USD"} }, ""},
		"negative price":    {func(e *rules.Event) { e.Price = rules.Money{Amount: -1, Currency: "USD"} }, `price.amount "-1" is not from 0`},
		"price of nothing":  {func(e *rules.Event) { e.Price = rules.Money{Amount: 1} }, `price.currency "" is not 3 to 12 capital`},
		"own currency":      {func(e *rules.Event) { e.Price = rules.Money{Amount: 1, Currency: "VAPOR"} }, ""},
		"long currency":     {func(e *rules.Event) { e.Price = rules.Money{Amount: 1, Currency: "ABCDEFGHIJKL"} }, ""},
		"longer currency":   {func(e *rules.Event) { e.Price = rules.Money{Amount: 1, Currency: "ABCDEFGHIJKLM"} }, `price.currency "ABCDEFGHIJKLM" is not`},
		"short currency":    {func(e *rules.Event) { e.Price = rules.Money{Amount: 1, Currency: "AB"} }, `price.currency "AB" is not`},
		"small currency":    {func(e *rules.Event) { e.Price = rules.Money{Amount: 1, Currency: "usd"} }, `price.currency "usd" is not`},
		"most attributes":   {func(e *rules.Event) { e.Attrs = attrs(MaxAttrs) }, ""},
		"too many":          {func(e *rules.Event) { e.Attrs = attrs(MaxAttrs + 1) }, `attrs "33" are more than 32`},
		"nameless":          {func(e *rules.Event) { e.Attrs = map[string]string{"": "x"} }, `attrs "" is missing`},
		"long value":        {func(e *rules.Event) { e.Attrs = map[string]string{"a": long(MaxAttrValueBytes + 1)} }, "attrs.a "},
		"before 2000":       {func(e *rules.Event) { e.At = rules.MinInstant - 1 }, "is outside the years 2000 to 2199"},
		"first of 2000":     {func(e *rules.Event) { e.At = rules.MinInstant }, ""},
		"almost too early":  {func(e *rules.Event) { e.At += 5*60*1e9 - 1 }, ""},
		"too far ahead":     {func(e *rules.Event) { e.At += 5 * 60 * 1e9 }, "is more than 5m0s in the future"},
		"heartbeat":         {func(e *rules.Event) { *e = rules.Event{Server: "s", Region: "r", Type: rules.TypeHeartbeat, At: e.At} }, ""},
		"heartbeat too far": {func(e *rules.Event) { e.Type, e.At = rules.TypeHeartbeat, rules.MaxInstant }, "in the future"},
		"heartbeat's value": {func(e *rules.Event) {
			e.Type, e.Attrs = rules.TypeHeartbeat, map[string]string{"void": long(MaxAttrValueBytes + 1)}
		}, "attrs.void "},
		"heartbeat's attributes": {func(e *rules.Event) { e.Type, e.Attrs = rules.TypeHeartbeat, attrs(MaxAttrs+1) }, `attrs "33" are more than 32`},
	} {
		e := base()
		c.change(&e)
		err := check(&e, e.At, untilSoon(noon, 5*time.Minute))
		var field *FieldError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !errors.As(err, &field) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	e := base()
	if err := check(&e, e.At+6*60*1e9, untilSoon(noon, 5*time.Minute)); err == nil {
		t.Error("an instant that the correction moves too far ahead was taken")
	}
	// A clock that is known to be an hour ahead writes stamps of the node's future.
	ahead := e
	ahead.At += 60 * 60 * 1e9
	if err := check(&ahead, e.At, untilSoon(noon, 5*time.Minute)); err != nil {
		t.Errorf("an instant that the correction brings back is refused: %v", err)
	}
}

// However the delay is divided between the two ways and whatever the offset is,
// the true one lies within the estimate's error.
func TestClockEstimateHoldsTheTruth(t *testing.T) {
	r := newRand(5)
	for range 10_000 {
		offset := r.Int64N(2*int64(time.Hour)) - int64(time.Hour)
		there, back, work := r.Int64N(int64(time.Second)), r.Int64N(int64(time.Second)), r.Int64N(int64(time.Second))
		if r.IntN(4) == 0 {
			there = 0 // all of the delay on the way back
		}
		t1 := noon.UnixNano()
		t2 := t1 + offset + there
		t3 := t2 + work
		t4 := t3 - offset + back
		c, err := EstimateClock(t1, t2, t3, t4)
		if err != nil {
			t.Fatal(err)
		}
		if off := c.OffsetNs - offset; off > c.ErrNs || -off > c.ErrNs || 2*c.ErrNs > there+back+1 {
			t.Fatalf("offset %d, estimated %d ± %d of a round trip of %d", offset, c.OffsetNs, c.ErrNs, there+back)
		}
	}
	at := noon.UnixNano()
	for _, x := range [][4]int64{{0, at, at, at}, {at, at, at, math.MaxInt64}, {at, at, at, at - 1}, {at, at + 1, at, at}, {at, at, at + 10, at + 5}, {at, at + 25*3600*1e9, at + 25*3600*1e9, at}} {
		if c, err := EstimateClock(x[0], x[1], x[2], x[3]); err == nil {
			t.Errorf("%v gave %+v", x, c)
		}
	}
}
