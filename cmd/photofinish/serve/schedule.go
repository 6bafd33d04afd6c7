package serve

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when settlements run: each time so long after an instant of a cron
// schedule as an hour is waited for after its end.
type Schedule struct {
	cron  cron.Schedule
	delay time.Duration
}

// ParseSchedule reads a schedule: @hourly, @every and a duration, or the five fields of
// cron, in UTC. Its instants are ends of periods; a run follows each after the delay, which
// is not negative. The zero Schedule is not usable.
func ParseSchedule(text string, delay time.Duration) (Schedule, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") {
		return Schedule{}, fmt.Errorf("the schedule %q names a time zone: schedules are in UTC", text)
	}
	spec := text
	if !strings.HasPrefix(text, "@every") {
		spec = "CRON_TZ=UTC " + text // else it depends on the machine's own zone
	}
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		return Schedule{}, fmt.Errorf("the schedule %q is not @hourly, @every and a duration, or five fields of cron: %w", text, err)
	}
	s := Schedule{schedule, delay}
	if s.Next(time.Unix(0, 0)).IsZero() {
		return Schedule{}, fmt.Errorf("the schedule %q never comes", text)
	}
	return s, nil
}

// Next returns the first run after now.
func (s Schedule) Next(now time.Time) time.Time {
	next := s.cron.Next(now.UTC().Add(-s.delay))
	if next.IsZero() {
		return next
	}
	return next.Add(s.delay)
}
