package hour_test

import (
	"testing"
	"time"

	"photofinish/rules"
	"photofinish/rules/hour"
)

// A period is from ten seconds to a hundred years, and no wait is negative.
func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  hour.Config
		ok   bool
	}{
		{"defaults", hour.Config{}, true},
		{"shortest", hour.Config{Period: 10 * time.Second, Delay: time.Second}, true},
		{"shorter", hour.Config{Period: 10*time.Second - 1}, false},
		{"negative period", hour.Config{Period: -time.Hour}, false},
		{"longest", hour.Config{Period: 876000 * time.Hour}, true},
		{"longer", hour.Config{Period: 876000*time.Hour + 1}, false},
		{"no delay", hour.Config{Delay: hour.NoDelay}, true},
		{"negative delay", hour.Config{Delay: -time.Second}, false},
		{"negative excuse", hour.Config{Excuse: -time.Second}, false},
		{"negative trust", hour.Config{Trust: -time.Second}, false},
		{"negative silence", hour.Config{Silence: -time.Second}, false},
	} {
		if err := test.cfg.Validate(); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Periods of ten seconds are closed one second after their ends, one by one; more than
// 24 of them without an event, which are four minutes, by one cut.
func TestShortPeriods(t *testing.T) {
	second := func(s int64) rules.Instant { return rules.Instant(s) * rules.Instant(time.Second) }
	cfg := hour.Config{Period: 10 * time.Second, Delay: time.Second}
	log := &memory{rows: []rules.Record{event("eu", 1, "1", second(1007))}}
	progress := hour.Progress{Rows: []hour.Row{row("eu", 1, 1, second(1007), second(1008))}}
	var last hour.Last
	for _, step := range []struct{ t, through, asOf int64 }{
		{1010, 0, 0},
		{1011, 1010, 1011},
		{1020, 0, 0},
		{1035, 1020, 1021},
		{1035, 1030, 1031},
		{1035, 0, 0},
		{1291, 1290, 1291},
	} {
		plan, err := cfg.Next(hour.Now{T: second(step.t)}, last, progress, log, second(step.t), "sha256:r")
		switch {
		case err != nil:
			t.Fatal(err)
		case step.through == 0:
			if plan.Cut != nil {
				t.Fatalf("at second %d a cut through %s is due", step.t, plan.Cut.Through)
			}
			continue
		case plan.Cut == nil:
			t.Fatalf("at second %d nothing is due", step.t)
		}
		if plan.Cut.Through != second(step.through) || plan.Cut.AsOf != second(step.asOf) {
			t.Fatalf("at second %d: through %s as of %s", step.t, plan.Cut.Through, plan.Cut.AsOf)
		}
		last = hour.Last{Cut: *plan.Cut}
	}
}
