package rules

import (
	"cmp"
	"fmt"
	"math/bits"
	"strconv"
)

// Amount is a whole number from 0 to 2^128 − 1, exact. The zero value is 0. Two
// amounts are equal if and only if == says so.
type Amount struct {
	hi, lo uint64
}

// amountLimit is the largest amount; sums stop there.
var amountLimit = Amount{^uint64(0), ^uint64(0)} //nolint:gochecknoglobals // a constant that Go cannot write as one

// Whole returns n as an amount; a negative n is 0.
func Whole(n int64) Amount { return Amount{lo: uint64(max(n, 0))} }

// Add returns a + b, at most 2^128 − 1: no log is long enough to get there.
func (a Amount) Add(b Amount) Amount {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, over := bits.Add64(a.hi, b.hi, carry)
	if over != 0 {
		return amountLimit
	}
	return Amount{hi, lo}
}

// Compare returns -1, 0 or +1.
func (a Amount) Compare(b Amount) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
}

// IsZero reports whether the amount is 0.
func (a Amount) IsZero() bool { return a == Amount{} }

// String writes the amount in decimal.
func (a Amount) String() string {
	if a.hi == 0 {
		return strconv.FormatUint(a.lo, 10)
	}
	const chunk = 1e19 // the largest power of ten in 64 bits
	q, r := bits.Div64(a.hi%chunk, a.lo, chunk)
	return Amount{a.hi / chunk, q}.String() + fmt.Sprintf("%019d", r)
}

// ParseAmount reads what String writes: decimal digits alone.
func ParseAmount(text string) (Amount, error) {
	var a Amount
	for _, c := range []byte(text) {
		hi, lo := bits.Mul64(a.lo, 10)
		over, top := bits.Mul64(a.hi, 10)
		sum, carry := bits.Add64(hi, top, 0)
		if c < '0' || c > '9' || over != 0 || carry != 0 {
			return Amount{}, fmt.Errorf("%q is not a whole number below 2^128", text)
		}
		if a = (Amount{sum, lo}).Add(Amount{lo: uint64(c - '0')}); a == amountLimit {
			return Amount{}, fmt.Errorf("%q is not a whole number below 2^128", text)
		}
	}
	if text == "" {
		return Amount{}, fmt.Errorf("%q is not a whole number below 2^128", text)
	}
	return a, nil
}

// MarshalText writes the amount in decimal: in JSON it is a string, whatever its
// size.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Amount) UnmarshalText(text []byte) error {
	parsed, err := ParseAmount(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}
