package rules

import (
	"errors"
	"testing"
)

// A time is read strictly, by one reader for the network, files and options.
func TestParseInstant(t *testing.T) {
	for text, want := range map[string]error{
		"2026-11-21T07:00:00Z":            nil,
		"2026-11-21T07:00:00.123456789Z":  nil,
		"2026-11-21T07:00:00.1+05:30":     nil,
		"2026-11-21T7:00:00Z":             ErrInstantForm,
		"2026-11-21T07:00:00,5Z":          ErrInstantForm,
		"2026-11-21T07:00:00.1234567890Z": ErrInstantForm,
		"2026-11-21T07:00:60Z":            ErrInstantForm,
		"2026-11-21 07:00:00Z":            ErrInstantForm,
		"2026-11-21T07:00:00":             ErrInstantForm,
		"2026-02-30T07:00:00Z":            ErrInstantForm,
		"1999-12-31T23:59:59Z":            ErrInstantYears,
		"2200-01-01T00:00:00Z":            ErrInstantYears,
		"2199-12-31T23:59:59.999999999Z":  nil,
		"2026-11-21T07:00:00.0000000001Z": ErrInstantForm,
		"":                                ErrInstantForm,
	} {
		i, err := ParseInstant(text)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
		if err == nil {
			if again, err := ParseInstant(i.String()); err != nil || again != i {
				t.Errorf("%q comes back as %s: %v", text, i, err)
			}
		}
	}
}

// Amounts are exact beyond 64 bits, and text in JSON.
func TestAmount(t *testing.T) {
	sum := Amount{}
	for range 12 {
		sum = sum.Add(Whole(900_000_000_000_000_000))
	}
	if sum.String() != "10800000000000000000" {
		t.Error(sum)
	}
	big, err := ParseAmount("340282366920938463463374607431768211454")
	if err != nil || big.String() != "340282366920938463463374607431768211454" || big.Compare(sum) <= 0 {
		t.Error(big, err)
	}
	for _, text := range []string{"", "-1", "1.5", "340282366920938463463374607431768211456", "9999999999999999999999999999999999999999"} {
		if a, err := ParseAmount(text); err == nil {
			t.Errorf("%q is read as %s", text, a)
		}
	}
}

// A sum takes whole numbers from 0 to 10^15 and says what it does not take.
func TestSummand(t *testing.T) {
	r := &Rule{Measure: Measure{Kind: MeasureSum, Key: "attrs.d"}}
	for text, want := range map[string]string{
		"3": "3", "0": "0", "0007": "7", "1000000000000000": "1000000000000000",
		"1000000000000001": "-", "12.5": "-", "-1": "-", "": "-", "900000000000000000": "-", "x": "-",
	} {
		a, ok := r.Amount(&Event{Count: 5, Attrs: map[string]string{"d": text}})
		if got := a.String(); ok != (want != "-") || ok && got != want {
			t.Errorf("%q: %s %t", text, got, ok)
		}
	}
}
