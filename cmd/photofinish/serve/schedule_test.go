package serve_test

import (
	"testing"
	"time"

	"photofinish/cmd/photofinish/serve"
)

// A run follows the end of an hour after the delay, in UTC whatever the machine's zone, and
// an interval counts from now.
func TestSchedule(t *testing.T) {
	for _, test := range []struct {
		spec      string
		delay     time.Duration
		now, next string
	}{
		{"@hourly", 2 * time.Minute, "2026-11-21T10:00:00Z", "2026-11-21T10:02:00Z"},
		{"@hourly", 2 * time.Minute, "2026-11-21T10:02:00Z", "2026-11-21T11:02:00Z"},
		{"@hourly", 0, "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"},
		{"@hourly", 2 * time.Minute, "2026-11-21T15:31:00+05:30", "2026-11-21T10:02:00Z"},
		{"30 4 * * *", time.Minute, "2026-11-21T04:30:30+00:00", "2026-11-21T04:31:00Z"},
		{"@every 5s", time.Second, "2026-11-21T10:00:00Z", "2026-11-21T10:00:05Z"},
	} {
		s, err := serve.ParseSchedule(test.spec, test.delay)
		if err != nil {
			t.Fatal(err)
		}
		now, _ := time.Parse(time.RFC3339, test.now)
		if next := s.Next(now).UTC().Format(time.RFC3339); next != test.next {
			t.Errorf("%s + %s after %s: %s, want %s", test.spec, test.delay, test.now, next, test.next)
		}
	}
	for _, wrong := range []string{"", "hourly", "* * *", "CRON_TZ=Europe/Berlin @hourly", "TZ=UTC 0 * * * *", "0 0 31 2 *", "@every x"} {
		if _, err := serve.ParseSchedule(wrong, 0); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
