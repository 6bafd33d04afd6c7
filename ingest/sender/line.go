package sender

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"photofinish/rules"
)

// MaxEventBytes bounds one event as JSON, its seq included: a node reads no longer line.
const MaxEventBytes = 64 << 10

// seqBytes is the most that a seq adds to an event.
const seqBytes = len(seqName) + len("18446744073709551615,")

// wireEvent is an event as the body of POST /v1/events has it. Seq stands first: its
// presence there says that the caller numbers events itself.
type wireEvent struct {
	Seq    uint64            `json:"seq,omitempty"`
	ID     string            `json:"id,omitempty"`
	Type   string            `json:"type"`
	At     rules.Instant     `json:"at"`
	Player string            `json:"player,omitempty"`
	Guild  string            `json:"guild,omitempty"`
	Target string            `json:"target,omitempty"`
	Count  int64             `json:"count,omitempty"`
	SKU    string            `json:"sku,omitempty"`
	Price  *rules.Money      `json:"price,omitempty"`
	Attrs  map[string]string `json:"attrs,omitempty"`
}

const seqName = `{"seq":`

// Check returns why Accept would refuse an event, or nil. What a node asks of an event
// beyond that is for the node to say; it refuses each alone.
func Check(e *rules.Event) error {
	_, err := encode(e)
	return err
}

// check refuses what JSON cannot carry unchanged, an instant that no event can have, and
// heartbeats.
func check(e *rules.Event) error {
	switch {
	case e.Type == "":
		return errors.New("it has no type")
	case e.Type == rules.TypeHeartbeat:
		return errors.New("a heartbeat is nothing to keep; give it to Heartbeat")
	case e.At != 0 && (e.At < rules.MinInstant || e.At >= rules.MaxInstant):
		return fmt.Errorf("at %s is outside the years 2000 to 2199", e.At)
	}
	texts := []string{e.ID, e.Type, e.Player, e.Guild, e.Target, e.SKU, e.Price.Currency}
	for name, value := range e.Attrs { // order free: any of them refuses it
		texts = append(texts, name, value)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("a text %q is not UTF-8", s[:min(len(s), 40)])
		}
	}
	return nil
}

// encode returns the event as one JSON object without a line end: the same bytes for
// equal events.
func encode(e *rules.Event) ([]byte, error) {
	if err := check(e); err != nil {
		return nil, fmt.Errorf("event %q: %w", e.ID, err)
	}
	w := wireEvent{
		Seq: e.Seq, ID: e.ID, Type: e.Type, At: e.At, Player: e.Player, Guild: e.Guild, Target: e.Target,
		Count: e.Count, SKU: e.SKU, Attrs: e.Attrs,
	}
	if e.Price != (rules.Money{}) {
		w.Price = &e.Price
	}
	b, err := w.encode()
	if err != nil {
		return nil, fmt.Errorf("event %q as JSON: %w", e.ID, err)
	}
	if n := len(b) + seqBytes; n > MaxEventBytes {
		return nil, fmt.Errorf("event %q has %d bytes as JSON, more than %d", e.ID, n, MaxEventBytes)
	}
	return b, nil
}

func (w *wireEvent) encode() ([]byte, error) {
	var b bytes.Buffer
	j := json.NewEncoder(&b)
	j.SetEscapeHTML(false)
	if err := j.Encode(w); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// appendLine appends a payload as the line that is sent.
func appendLine(b []byte, offset uint64, payload []byte) []byte {
	if !bytes.HasPrefix(payload, []byte(seqName)) {
		b = append(b, seqName...)
		b = strconv.AppendUint(b, offset, 10)
		b = append(b, ',')
		payload = payload[1:]
	}
	b = append(b, payload...)
	return append(b, '\n')
}
