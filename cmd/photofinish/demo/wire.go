package demo

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"

	"photofinish/rules"
)

// wireEvent is an event as the body of POST /v1/events has it.
type wireEvent struct {
	ID     string            `json:"id,omitempty"`
	Type   string            `json:"type"`
	At     rules.Instant     `json:"at"`
	Player string            `json:"player,omitempty"`
	Guild  string            `json:"guild,omitempty"`
	Target string            `json:"target,omitempty"`
	Count  int64             `json:"count,omitempty"`
	SKU    string            `json:"sku,omitempty"`
	Attrs  map[string]string `json:"attrs,omitempty"`
	Seq    uint64            `json:"seq,omitempty"`
}

// body returns events as a game server sends them: one JSON object a line, by gzip. Package
// sender would refuse what must be refused by a node here, and send in good order.
func body(events []rules.Event) ([]byte, error) {
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	lines.SetEscapeHTML(false)
	for i := range events {
		e := &events[i]
		err := lines.Encode(wireEvent{e.ID, e.Type, e.At, e.Player, e.Guild, e.Target, e.Count, e.SKU, e.Attrs, e.Seq})
		if err != nil {
			return nil, fmt.Errorf("write event %q as JSON: %w", e.ID, err)
		}
	}
	// A name in the story is no UTF-8; the encoder mends it, a broken game would not.
	broken := bytes.ReplaceAll(text.Bytes(), []byte(`\ufffd`), []byte{0xff})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(broken); err != nil {
		return nil, fmt.Errorf("pack events: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack events: %w", err)
	}
	return packed.Bytes(), nil
}
