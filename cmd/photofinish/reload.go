package main

import (
	"context"
	"io"
	"maps"
	"slices"

	"photofinish/cmd/photofinish/serve"
)

// reloadable are the keys that a running process takes over.
var reloadable = []string{
	"settle.rules", "settle.schedule", "settle.period", "settle.delay", "settle.excuse", "settle.trust", "log.level",
}

// reload reads the configuration and the rules again and goes on by them. All of it is
// checked first; if anything is wrong, or would need another start, that is said, also in
// /healthz until it is well, and what is wrong changes nothing.
func (p *process) reload(ctx context.Context) {
	changed, err := p.takeOver() //nolint:contextcheck // no command is run
	if p.refused.Store(&err); err != nil {
		p.log.ErrorContext(ctx, "configuration not reloaded: the old one stays", "err", err)
		return
	}
	later := slices.DeleteFunc(slices.Clone(changed), func(key string) bool { return slices.Contains(reloadable, key) })
	if len(later) > 0 {
		p.log.WarnContext(ctx, "some changes need a restart", "keys", later)
	}
	p.log.InfoContext(ctx, "configuration reloaded", "changed", changed)
}

// takeOver takes over what can be, or nothing. It returns the keys that have changed since
// the start.
func (p *process) takeOver() (changed []string, err error) {
	fresh, changed, err := p.reread()
	if err != nil {
		return nil, err
	}
	if p.roles.ingest {
		// A restart takes these over; it would fail, however long after.
		if _, err := fresh.options.ingestConfig(p.spoolDir()); err != nil {
			return nil, err
		}
	}
	if p.settlement != nil {
		plan, err := fresh.options.plan()
		if err != nil {
			return nil, err
		}
		p.settlement.Change(plan)
	}
	p.level.Set(fresh.level.Level())
	return changed, nil
}

// configuration says whether what the files say now would be taken.
func (p *process) configuration() (serve.Status, string) {
	if err := p.refused.Load(); err != nil && *err != nil {
		return serve.Failing, "not reloaded, the old one stays: " + (*err).Error()
	}
	return serve.OK, ""
}

// reread reads the command line, the environment and the file as at the start. It returns
// the keys whose values are not those of the start, sorted.
func (p *process) reread() (fresh *app, changed []string, err error) {
	fresh, root := newApp(io.Discard, p.stderr)
	fresh.args = p.args
	cmd, rest, err := root.Find(p.args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = fresh.configure(cmd)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(fresh.values)) {
		if fresh.values[key] != p.values[key] {
			changed = append(changed, key)
		}
	}
	return fresh, changed, nil
}
