package rules_test

import (
	"testing"

	"photofinish/rules"
)

// A value that a sum refuses adds nothing: also one just beyond the greatest.
func TestRefusedSummandAddsNothing(t *testing.T) {
	rule := rules.Rule{Measure: rules.Measure{Kind: rules.MeasureSum, Key: "attrs.n"}}
	for value, counts := range map[string]bool{"1000000000000000": true, "1000000000000001": false, "9999999999999999": false, "1.5": false} {
		e := rules.Event{Count: 1, Attrs: map[string]string{"n": value}}
		if got, ok := rule.Amount(&e); ok != counts || !ok && !got.IsZero() {
			t.Errorf("%s adds %s, counts: %t", value, got, ok)
		}
	}
}
