package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"photofinish/ingest"
	"photofinish/rules"
)

// The limits of decode, of an event of the documentation.
const (
	maxDecode = 0.2 // of the time of encoding/json
	maxAllocs = 3   // an event
)

const (
	decodeGarbage = 100 // MB
	decodeTurns   = 20  // for one of the other measures
)

// sampleLine is the kill of the documentation.
const sampleLine = `{"id":"183","type":"kill","at":"2026-11-21T07:00:00.123456789Z","player":"p42","guild":"g7","target":"rabbit","count":1,"seq":183,"attrs":{"weapon":"bow"}}`

// plainEvent is what encoding/json reads an event into, with the time left as it is.
type plainEvent struct {
	ID     string            `json:"id"`
	Type   string            `json:"type"`
	At     string            `json:"at"`
	Player string            `json:"player"`
	Guild  string            `json:"guild"`
	Target string            `json:"target"`
	SKU    string            `json:"sku"`
	Count  int64             `json:"count"`
	Seq    uint64            `json:"seq"`
	Attrs  map[string]string `json:"attrs"`
}

func (p *plainEvent) equals(e *rules.Event) bool {
	at, err := rules.ParseInstant(p.At)
	return err == nil && p.ID == e.ID && p.Type == e.Type && at == e.At && p.Player == e.Player && p.Guild == e.Guild &&
		p.Target == e.Target && p.SKU == e.SKU && p.Count == e.Count && p.Seq == e.Seq && maps.Equal(p.Attrs, e.Attrs)
}

// measureDecode is an event of JSON, checked in full and its time read, beside
// encoding/json, which does neither.
func measureDecode(_ context.Context, in *intake) error {
	in.section(fmt.Sprintf("decode  an event of %d bytes, beside encoding/json into a struct", len(sampleLine)))
	in.note("Garbage is collected each %d MB, as beside a node's own memory. Turns are short, since they fit between what else runs.", decodeGarbage)
	defer debug.SetGCPercent(debug.SetGCPercent(100 * decodeGarbage / 4)) // of 4 MB, the least heap
	for _, c := range []struct {
		what, line string
		limit      float64
		allocs     float64
	}{
		{"the sample of the documentation, CPU", sampleLine, maxDecode, maxAllocs},
		{"the same as Python prints it", strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(sampleLine), 0, 0},
		{"the same with an escape, which the strict reader takes", strings.Replace(sampleLine, "p42", `p\"42`, 1), 0, 0},
	} {
		text := []byte(c.line)
		var event rules.Event
		var plain plainEvent
		took, err := inTurns(decodeTurns*in.turns, func() (usage, error) {
			return own(func() (err error) {
				for range in.decoded {
					if event, err = ingest.DecodeEvent(text); err != nil {
						return err
					}
				}
				return nil
			})
		}, func() (usage, error) {
			return own(func() error {
				for range in.decoded {
					plain = plainEvent{}
					if err := json.Unmarshal(text, &plain); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		if !plain.equals(&event) {
			return void("%s is read as %+v", c.line, event)
		}
		n := time.Duration(in.decoded)
		in.line(c.what, fmt.Sprint(took.ours.cpu/n), fmt.Sprint(took.floor.cpu/n), took.cpu, c.limit)
		// What the measuring itself allocates is far less than one an event.
		half := uint64(n / 2)
		ours, floor := (took.ours.allocs+half)/uint64(n), (took.floor.allocs+half)/uint64(n)
		in.line("  allocations of an event", fmt.Sprint(ours), fmt.Sprint(floor), float64(ours)/float64(floor), c.allocs/float64(floor))
	}
	return nil
}
