package announce

import (
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
)

// Whatever the claims are, an axis has a few marks at growing places inside it,
// and nothing overflows: from one nanosecond to two centuries.
func TestAxis(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 20000 {
		var claims []rules.Claim
		at := rules.MinInstant + rules.Instant(random.Int63n(int64(rules.MaxInstant-rules.MinInstant)))
		for range 1 + random.Intn(6) {
			e := rules.Instant(math.Pow(10, random.Float64()*18))
			claims = append(claims, rules.Claim{At: at, Point: at, Earliest: at - e, Latest: at.Add(time.Duration(e))})
			at = min(at.Add(time.Duration(math.Pow(10, random.Float64()*18))), rules.MaxInstant)
		}
		a := newAxis(claims)
		ticks := a.ticks()
		if len(ticks) == 0 || len(ticks) > maxTicks+1 {
			t.Fatalf("%d marks from %v to %v", len(ticks), a.lo, a.hi)
		}
		last := int64(margin - 1)
		for _, k := range ticks {
			if x := a.x(k.at); x < last || x > plotRight {
				t.Fatalf("mark at %d after %d", x, last)
			} else {
				last = x
			}
		}
	}
}

// Durations and moments read as people write them.
func TestMoments(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0 ns", 999: "999 ns", 1500: "1.5 µs", 40_000: "40 µs", 12e6: "12 ms", 99_999_999: "99.9 ms", 5e8: "0.5 s",
		59_999_999_999: "59.9 s", 60e9: "1 min", 61e9: "1 min 1 s", 3 * 3600e9: "3 h", 50 * 3600e9: "2 d 2 h", -5e8: "−0.5 s",
	} {
		if got := duration(ns); got != want {
			t.Errorf("%d ns: %q, want %q", ns, got, want)
		}
	}
	i, _ := rules.ParseInstant("2014-02-12T17:32:14.123456789Z")
	second := i - 123_456_789
	for _, test := range []struct {
		point         rules.Instant
		before, after int64
		want          string
	}{
		{i, 0, 0, "17:32:14.123456789"},
		{i, 1, 1, "17:32:14.123456789 ± 1 ns"},
		{i, 12e6, 12e6, "17:32:14.123 ± 12 ms"},
		{i, 5e8, 5e8 - 1, "17:32:14.12 ± 0.5 s"},
		{i, 3600e9, 3600e9, "17:32:14 ± 1 h"},
		{second, 0, 999_999_999, "within the second of 17:32:14"},
		{second, 0, 1e9, "17:32:14 + at most 1 s"},
		{second, 0, 999_999_998, "17:32:14 + at most 1 s"},
		{second, 1e9, 0, "17:32:14 − at most 1 s"},
		{second, 5e7, 105e7 - 1, "17:32:14 −50 ms / +1.05 s"},
		{i, 0, 999_999_999, "17:32:14.12 + at most 1 s"},
		{second + 47e7, 0, 999_999, "17:32:14.47 + at most 1 ms"},
	} {
		c := rules.Claim{Point: test.point, Earliest: test.point - rules.Instant(test.before), Latest: test.point + rules.Instant(test.after)}
		if got := clock(&c); got != test.want {
			t.Errorf("−%d +%d: %q, want %q", test.before, test.after, got, test.want)
		}
		day := strings.Replace(test.want, "17:32", "2014-02-12 17:32", 1)
		if got := claimMoment(&c); got != day {
			t.Errorf("−%d +%d: %q, want %q", test.before, test.after, got, day)
		}
	}
}

// A window is told as briefly as it can be.
func TestWindowText(t *testing.T) {
	for _, c := range [][3]string{
		{"2014-02-12T00:00:00Z", "2014-02-13T00:00:00Z", "2014-02-12"},
		{"2014-02-12T13:00:00Z", "2014-02-12T14:00:00Z", "2014-02-12 13:00 to 14:00 UTC"},
		{"2014-02-12T23:00:00Z", "2014-02-13T00:00:00Z", "2014-02-12 23:00 to 24:00 UTC"},
		{"2014-02-01T00:00:00Z", "2014-03-01T00:00:00Z", "February 2014"},
		{"2014-02-10T00:00:00Z", "2014-02-17T00:00:00Z", "2014-02-10 to 2014-02-16"},
	} {
		opens, _ := rules.ParseInstant(c[0])
		closes, _ := rules.ParseInstant(c[1])
		if got := windowText(rules.Window{Opens: opens, Closes: closes}); got != c[2] {
			t.Errorf("%s to %s: %q", c[0], c[1], got)
		}
	}
}

// Texts are cut to their columns between characters, never inside one.
func FuzzShown(f *testing.F) {
	f.Add("e\u0301\u202e  \xff👨\u200d👩", 3)
	f.Fuzz(func(t *testing.T, s string, columns int) {
		columns = 1 + (columns%80+80)%80
		got := shown(s, columns)
		used := 0
		for _, p := range visible(got) {
			used += width(p)
		}
		if used > columns+1 {
			t.Errorf("%q is %d columns, not %d", got, used, columns)
		}
		for _, c := range got {
			if hidden(c) && c != '\u200d' {
				t.Errorf("%q shows %U", got, c)
			}
		}
		if strings.Count(markdownText(s, columns), "\n") > 0 {
			t.Error("a line breaks")
		}
	})
}
