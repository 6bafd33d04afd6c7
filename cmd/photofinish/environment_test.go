package main

import (
	"strings"
	"testing"
)

// A variable that no option has ends every command before it does anything, named with
// what it may have been meant to be, and without its value.
func TestUnknownEnvironment(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        string // empty: it is no error
	}{
		{"PHOTOFINISH_DTA", "secret", "PHOTOFINISH_DTA (is it PHOTOFINISH_DATA?)"},
		{"PHOTOFINISH_CLICKHOUSE_PASSWORT", "secret", "PHOTOFINISH_CLICKHOUSE_PASSWORT (is it PHOTOFINISH_CLICKHOUSE_PASSWORD?)"},
		{"PHOTOFINISH_RULES", "secret", "PHOTOFINISH_RULES (is it PHOTOFINISH_SETTLE_RULES?)"},
		{"PHOTOFINISH_LOGLEVEL", "secret", "PHOTOFINISH_LOGLEVEL (is it PHOTOFINISH_LOG_LEVEL?)"},
		{"PHOTOFINISH_log_level", "secret", "PHOTOFINISH_log_level (is it PHOTOFINISH_LOG_LEVEL?)"},
		{"PHOTOFINISH_WEATHER_IN_SPRING", "secret", "PHOTOFINISH_WEATHER_IN_SPRING"},
		{"PHOTOFINISH_", "secret", "PHOTOFINISH_"},

		{"PHOTOFINISH_LOG_LEVEL", "error", ""},
		{"PHOTOFINISH_SETTLE_RULES", "of another command", ""},
		{"PHOTOFINISH_DTA", "", ""}, // set to nothing is not set, as for an option
		{"PHOTOFINISHED", "x", ""},
		{"PFTEST_CS_LOGS", "x", ""},
		// What Kubernetes sets for a service of the name photofinish or photofinish-eu.
		{"PHOTOFINISH_SERVICE_HOST", "10.0.0.1", ""},
		{"PHOTOFINISH_EU_SERVICE_PORT_HTTP", "8080", ""},
		{"PHOTOFINISH_PORT", "tcp://10.0.0.1:8080", ""},
		{"PHOTOFINISH_EU_PORT_8080_TCP_ADDR", "10.0.0.1", ""},
		{"PHOTOFINISH_PORT", "8080", "PHOTOFINISH_PORT"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			out, problems, code := photofinish(t, "version")
			if c.want == "" {
				if code != exitDone || problems != "" {
					t.Errorf("exit code %d: %s", code, problems)
				}
				return
			}
			if code != exitUsage || out != "" || !strings.Contains(problems, c.want) || strings.Contains(problems, "secret") || strings.Count(problems, "\n") != 1 {
				t.Errorf("exit code %d, it says %q, want %q", code, problems, c.want)
			}
			if !strings.Contains(c.want, "(") && strings.Contains(problems, "is it") {
				t.Errorf("it guesses: %s", problems)
			}
		})
	}
}

// All of them are named, in order, and the keys of a file are guessed too.
func TestUnknownEnvironmentAndKeys(t *testing.T) {
	t.Setenv("PHOTOFINISH_ZZZ", "1")
	t.Setenv("PHOTOFINISH_AAA", "1")
	_, problems, _ := photofinish(t, "version")
	if want := "the environment has unknown variables: PHOTOFINISH_AAA, PHOTOFINISH_ZZZ"; !strings.Contains(problems, want) {
		t.Errorf("it says %q, want %q", problems, want)
	}
}
