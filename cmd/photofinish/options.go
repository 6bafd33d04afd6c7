package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"photofinish/cmd/photofinish/serve"
	"photofinish/ingest"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/spool"
	"photofinish/rules/hour"
)

// options are those of serve and of its roles alone. Each is there once, whichever command
// it is given to.
type options struct {
	listen, adminListen, node string
	rules, schedule           string
	period, delay             time.Duration
	excuse, trust             time.Duration
	silentAfter               time.Duration
	nodeClockErr, clockErr    time.Duration
	retention                 time.Duration
	maxBody, quota            int64
	rate                      float64
}

// listenFlags are those of every role that listens.
func (o *options) listenFlags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address for everybody: events in, reports out (serve.listen)")
	keyed(f, "listen", "serve.listen")
	o.adminFlags(f)
}

// adminFlags are those of every role that stays.
func (o *options) adminFlags(f *pflag.FlagSet) {
	f.StringVar(&o.adminListen, "serve.admin_listen", "127.0.0.1:8081", "address for operators: health with reasons, metrics, profiles; one on loopback answers to no other name than localhost, any other to all")
}

// ingestFlags are those of whoever takes events in.
func (o *options) ingestFlags(f *pflag.FlagSet) {
	f.StringVar(&o.node, "serve.node", "local", "name of this ingest node; its spool is in a folder of that name")
	durationVar(f, &o.nodeClockErr, "ingest.node_clock_err", ingest.DefaultNodeClockErr, "how far off this machine's clock may be")
	durationVar(f, &o.clockErr, "ingest.clock_err", ingest.DefaultClockErr, "how far off the clock of a server may be that sends no exchange of clocks")
	durationVar(f, &o.retention, "ingest.spool_retention", ingest.DefaultRetention, "how long events stay in the spool once they are in the log")
	sizeVar(f, &o.quota, "ingest.spool_quota", 0, "how large the spool may become, at least 256MiB; then events are refused; 0: what the disk has")
	sizeVar(f, &o.maxBody, "ingest.max_body", httpapi.DefaultMaxBody, "largest body of a request, unpacked")
	f.Float64Var(&o.rate, "ingest.rate", httpapi.DefaultRate, "requests a second of one key")
}

// silenceFlag is one of who takes events in and of who settles.
func (o *options) silenceFlag(f *pflag.FlagSet) {
	durationVar(f, &o.silentAfter, "ingest.silent_after", ingest.DefaultSilentAfter, "after how long a server that says nothing is no longer waited for")
}

// settleFlags are those of whoever settles.
func (o *options) settleFlags(f *pflag.FlagSet) {
	f.StringVar(&o.rules, "rules", "", "the rules file (settle.rules)")
	keyed(f, "rules", "settle.rules")
	f.StringVar(&o.schedule, "settle.schedule", "@hourly", "ends of periods at which to settle: @hourly, @every 5s, or five fields of cron, in UTC; a run follows each after the delay")
	durationVar(f, &o.delay, "settle.delay", 2*time.Minute, "how long after its end a period is settled")
	durationVar(f, &o.excuse, "settle.excuse", 24*time.Hour, "after how long a node that says nothing is no longer waited for")
	durationVar(f, &o.trust, "settle.trust", 24*time.Hour, "how far this clock is trusted beyond what nodes have said last")
}

// hour returns the rhythm of the settlement.
func (o *options) hour() (hour.Config, error) {
	c := hour.Config{Period: o.period, Delay: o.delay, Silence: o.silentAfter, Excuse: o.excuse, Trust: o.trust}
	if c.Delay == 0 {
		c.Delay = hour.NoDelay
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"settle.period", o.period}, {"settle.excuse", o.excuse}, {"settle.trust", o.trust}, {"ingest.silent_after", o.silentAfter}} {
		if d.value <= 0 {
			return c, usagef("%s is %s: give more than 0", d.key, d.value)
		}
	}
	if err := c.Validate(); err != nil {
		return c, usagef("settle.period, settle.delay: %w", err)
	}
	return c, nil
}

// plan returns what the scheduled settlement works by. Without rules it settles nothing.
func (o *options) plan() (serve.Plan, error) {
	rhythm, err := o.hour()
	if err != nil {
		return serve.Plan{}, err
	}
	schedule, err := serve.ParseSchedule(o.schedule, o.delay)
	if err != nil {
		return serve.Plan{}, usagef("settle.schedule: %w", err)
	}
	plan := serve.Plan{Schedule: schedule, Hour: rhythm}
	if o.rules != "" {
		plan.Rules, err = readRuleset(o.rules)
	}
	return plan, err
}

// checkAddresses wants two different addresses of the form host:port.
func (o *options) checkAddresses(public bool) error {
	if _, _, err := net.SplitHostPort(o.adminListen); err != nil {
		return usagef("serve.admin_listen is %q: give host:port, such as 127.0.0.1:8081", o.adminListen)
	}
	if !public {
		return nil
	}
	_, port, err := net.SplitHostPort(o.listen)
	switch {
	case err != nil:
		return usagef("serve.listen is %q: give host:port, such as 127.0.0.1:8080", o.listen)
	case o.listen == o.adminListen && port != "0":
		return usagef("serve.listen and serve.admin_listen are both %s: operators need an address of their own", o.listen)
	}
	return nil
}

// minSpoolQuota is four segments.
const minSpoolQuota = 4 * spool.DefaultSegmentBytes

// ingestConfig returns how the node works, and checks all options of ingest by their names.
func (o *options) ingestConfig(spools string) (ingest.Config, error) {
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"ingest.silent_after", o.silentAfter}, {"ingest.node_clock_err", o.nodeClockErr}, {"ingest.clock_err", o.clockErr}, {"ingest.spool_retention", o.retention}} {
		if d.value <= 0 {
			return ingest.Config{}, usagef("%s is %s: give more than 0", d.key, d.value)
		}
	}
	switch {
	case o.quota != 0 && o.quota < minSpoolQuota:
		return ingest.Config{}, usagef("ingest.spool_quota is %v: give at least 256MiB, or 0 for what the disk has", (*sizeValue)(&o.quota))
	case o.maxBody < 1 || o.maxBody > httpapi.LargestBody:
		return ingest.Config{}, usagef("ingest.max_body is %v: give up to 1GiB", (*sizeValue)(&o.maxBody))
	case !(o.rate >= httpapi.MinRate && o.rate <= httpapi.MaxRate): // nor not a number
		return ingest.Config{}, usagef("ingest.rate is %v: give %v to %d requests a second", o.rate, httpapi.MinRate, httpapi.MaxRate)
	}
	cfg := ingest.Config{
		Node: o.node, Dir: spools, SilentAfter: o.silentAfter, ClockErr: o.clockErr, NodeClockErr: o.nodeClockErr, Retention: o.retention,
		Quota: o.quota,
	}
	if err := cfg.Check(); err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// durationVar is a flag of a duration that may be given in days.
func durationVar(f *pflag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	f.Var((*durationValue)(p), name, usage)
}

type durationValue time.Duration

const days = 24 * time.Hour

// Set reads 90s, 15m, 1h30m or 7d.
func (d *durationValue) Set(text string) error {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		count, err := strconv.ParseInt(n, 10, 64)
		if err != nil || count < 0 || count > 36500 {
			return fmt.Errorf("%q is not a duration such as 90s, 15m, 1h30m or 7d", text)
		}
		*d = durationValue(time.Duration(count) * days)
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration such as 90s, 15m, 1h30m or 7d", text)
	}
	*d = durationValue(v)
	return nil
}

// String writes what Set reads.
func (d *durationValue) String() string {
	v := time.Duration(*d)
	if v >= 2*days && v%days == 0 {
		return strconv.Itoa(int(v/days)) + "d"
	}
	text := v.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Type names what the flag takes.
func (*durationValue) Type() string { return "duration" }

// sizeVar is a flag of a number of bytes.
func sizeVar(f *pflag.FlagSet, p *int64, name string, value int64, usage string) {
	*p = value
	f.Var((*sizeValue)(p), name, usage)
}

type sizeValue int64

// Set reads 8388608, 8MiB or 2GiB.
func (s *sizeValue) Set(text string) error {
	unit := int64(1)
	number := text
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = n, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<62/unit {
		return fmt.Errorf("%q is not a size such as 65536, 64KiB, 8MiB or 20GiB", text)
	}
	*s = sizeValue(n * unit)
	return nil
}

// String writes what Set reads.
func (s *sizeValue) String() string {
	for i, suffix := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if unit := int64(1) << (10 * (4 - i)); int64(*s) >= unit && int64(*s)%unit == 0 {
			return strconv.FormatInt(int64(*s)/unit, 10) + suffix
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Type names what the flag takes.
func (*sizeValue) Type() string { return "size" }
