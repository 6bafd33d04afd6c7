package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
)

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, commit, Go and embedded ClickHouse",
		Example: "  photofinish version --json",
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			if asJSON {
				return a.printJSON(v)
			}
			a.printf("photofinish %s, commit %s, %s, embedded ClickHouse %s\n", v.Version, v.Commit, v.Go, v.ClickHouse)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

type version struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`
	Go         string `json:"go"`
	ClickHouse string `json:"clickhouse"` // of the embedded engine's package
}

func readVersion() version {
	v := version{Version: "unreleased", Commit: "unknown", Go: runtime.Version(), ClickHouse: clickhouse.EngineVersion()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if main := info.Main.Version; main != "(devel)" {
		v.Version = cmp.Or(main, v.Version)
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
		if s.Key == "vcs.modified" && s.Value == "true" {
			v.Commit += " with changes"
		}
	}
	return v
}
