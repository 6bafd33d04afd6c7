package rules_test

import (
	"slices"
	"testing"

	"photofinish/rules"
)

// What a line has lost since it was recorded is what the node has published, within what
// the cut adds, and not what the line skips already.
func TestLosses(t *testing.T) {
	line := rules.NodeLine{Node: "eu", Offset: 50, Lost: []rules.Span{{20, 24}, {30, 30}}, Void: []rules.Span{{25, 26}}}
	previous := rules.Cut{Number: 1, Nodes: []rules.NodeLine{{Node: "eu", Offset: 10}}}
	for _, c := range []struct{ published, want []rules.Span }{
		{nil, nil},
		{[]rules.Span{{1, 10}}, nil},
		{[]rules.Span{{5, 12}}, []rules.Span{{11, 12}}},
		{[]rules.Span{{20, 24}}, nil},
		{[]rules.Span{{22, 28}}, []rules.Span{{27, 28}}},
		{[]rules.Span{{15, 60}}, []rules.Span{{15, 19}, {27, 29}, {31, 50}}},
		{[]rules.Span{{51, 60}}, nil},
		{[]rules.Span{{40, 41}, {12, 12}, {41, 43}}, []rules.Span{{12, 12}, {40, 43}}},
	} {
		var got []rules.Span
		for _, l := range line.Losses(&previous, c.published) {
			if l.Node != "eu" {
				t.Errorf("published %v: a loss of node %q", c.published, l.Node)
			}
			got = append(got, l.Span)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("published %v: %v, not %v", c.published, got, c.want)
		}
	}
}

// A cut without some of its offsets holds the others, and has the digest of its record.
func TestWithout(t *testing.T) {
	cut := rules.Cut{Number: 1, Through: 100, Nodes: []rules.NodeLine{{Node: "as", Offset: 5}, {Node: "eu", Offset: 50, Lost: []rules.Span{{20, 24}}}}}
	lost := []rules.Loss{{Node: "eu", Span: rules.Span{First: 11, Last: 12}}}
	without := cut.Without(lost)
	for offset := uint64(1); offset <= 50; offset++ {
		if got, want := without.Holds("eu", offset, 1), cut.Holds("eu", offset, 1) && offset != 11 && offset != 12; got != want {
			t.Errorf("holds offset %d: %t", offset, got)
		}
	}
	if !cut.Holds("eu", 11, 1) || len(cut.Losses()) > 0 {
		t.Error("the record itself was changed")
	}
	if without.Digest() != cut.Digest() || !slices.Equal(without.Losses(), lost) || !without.Holds("as", 5, 1) {
		t.Errorf("%+v", without)
	}
}
