package rulefile

import (
	"strings"

	"github.com/robfig/cron/v3"

	"photofinish/rules"
)

// readWindow reads when a rule counts. A leaderboard settles when its window closes,
// so it must have one that does.
func (o object) readWindow(r *rules.Rule) {
	c, ok := o.get("window")
	if !ok {
		if r.Kind == rules.Leaderboard {
			o.require("window")
		}
		return
	}
	w := c.object("opens", "closes", "every", "cron")
	opens, hasOpens := w.get("opens")
	closes, hasCloses := w.get("closes")
	every, hasEvery := w.get("every")
	schedule, hasCron := w.get("cron")
	fixed := hasOpens || hasCloses
	switch {
	case c.node.form == formMapping && len(c.node.entries) == 0:
		c.problem("must not be empty: say opens and closes, every, or cron; leave it out for ever")
	case fixed && (hasEvery || hasCron) || hasEvery && hasCron:
		c.problem("must be only one of opens and closes, every, and cron")
	}
	if hasEvery {
		r.Window.Every = rules.Every(every.word(string(rules.Hour), string(rules.Day), string(rules.Week), string(rules.Month)))
	}
	if hasCron {
		r.Window.Cron, r.Window.Schedule = schedule.readCron()
	}
	if !fixed {
		return
	}
	span := rules.Window{Opens: rules.MinInstant, Closes: rules.MaxInstant}
	valid := true
	if hasOpens {
		span.Opens, valid = opens.readInstant()
	}
	if hasCloses {
		var ok bool
		span.Closes, ok = closes.readInstant()
		valid = valid && ok
	} else if r.Kind == rules.Leaderboard {
		c.problem("must say closes: a leaderboard is settled when its window closes")
	}
	if valid && span.Opens >= span.Closes {
		c.problem("must open before it closes: opens is %s, closes is %s", span.Opens, span.Closes)
	}
	r.Window.Fixed = span
}

func (c cursor) readInstant() (rules.Instant, bool) {
	text, ok := c.text()
	if !ok {
		return 0, false
	}
	i, err := rules.ParseInstant(text)
	if err != nil {
		c.problem("must be a time: %v", err)
		return 0, false
	}
	return i, true
}

// readCron reads a schedule of five fields, or a name such as @daily, in UTC. What
// would depend on another zone or on when the program started is refused.
func (c cursor) readCron() (string, cron.Schedule) {
	text, ok := c.text()
	if !ok {
		return "", nil
	}
	spec := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ="):
		c.problem("must not name a time zone: schedules are in UTC")
		return "", nil
	case strings.HasPrefix(spec, "@every"):
		c.problem("must not be @every, which counts from when a program started; say every, or five fields")
		return "", nil
	}
	// Naming the zone keeps the schedule from depending on the machine's own.
	schedule, err := cron.ParseStandard("CRON_TZ=UTC " + spec)
	if err != nil {
		c.problem("must be a schedule such as \"0 18 * * FRI\", %s: %v", c.node.is(), err)
		return "", nil
	}
	if schedule.Next(rules.MinInstant.Time()).IsZero() {
		c.problem("never comes: there is no such day, %s", c.node.is())
		return "", nil
	}
	return text, schedule
}
