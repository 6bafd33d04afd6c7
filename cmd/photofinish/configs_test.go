package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

func readConfig(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../configs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The sample configuration can be used as it is, and names every option of serve with its
// default.
func TestSampleConfiguration(t *testing.T) {
	must(t, "version", "--config", "../../configs/photofinish.yaml")
	text := regexp.MustCompile(`(?m)^#( *[a-z_]+:)`).ReplaceAllString(readConfig(t, "photofinish.yaml"), "$1")
	v := viper.New()
	v.SetConfigType("yaml")
	if err := v.ReadConfig(strings.NewReader(text)); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	_, root := newApp(io.Discard, io.Discard)
	cmd, _, err := root.Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	add := func(f *pflag.Flag) {
		if key := keyOf(cmd, f); key != "" {
			defaults[key] = f.DefValue
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	for _, key := range v.AllKeys() {
		want, known := defaults[key]
		if !known {
			t.Errorf("serve has no option %s", key)
		}
		if got := fmt.Sprint(v.Get(key)); got != want {
			t.Errorf("%s is %s in the sample, %s by default", key, got, want)
		}
		delete(defaults, key)
	}
	for key := range defaults {
		t.Errorf("the sample lacks %s", key)
	}
	for _, key := range reloadable {
		if !v.IsSet(key) {
			t.Errorf("%s is reloaded, and is no option", key)
		}
	}
}

// The command lines of the unit and of the container are ones that serve takes, and the
// container is built by the Go of go.mod.
func TestUnitAndContainer(t *testing.T) {
	takes := func(args []string) {
		t.Helper()
		_, root := newApp(io.Discard, io.Discard)
		cmd, rest, err := root.Find(args)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil || cmd.Name() != "serve" || cmd.Flags().NArg() > 0 {
			t.Errorf("photofinish %s: %v", strings.Join(args, " "), err)
		}
	}
	unit := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/photofinish (.*)$`).FindStringSubmatch(readConfig(t, "photofinish.service"))
	if unit == nil {
		t.Fatal("the unit starts nothing")
	}
	takes(strings.Fields(unit[1]))
	container := readConfig(t, "Containerfile")
	cmd := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindStringSubmatch(container)
	var args []string
	if cmd == nil || json.Unmarshal([]byte(cmd[1]), &args) != nil {
		t.Fatal("the container starts nothing")
	}
	takes(args)
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if version == nil || !bytes.Contains([]byte(container), append([]byte("golang:"), append(version[1], '-')...)) {
		t.Errorf("the container is not built by Go %s", version)
	}
}
