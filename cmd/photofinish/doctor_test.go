package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"photofinish/cmd/clickhouse/clickhousetest"
)

// doctor finds what is wrong, says how to mend it, and finds nothing wrong with a folder
// that is in order.
func TestDoctor(t *testing.T) {
	type diagnosis struct {
		OK     bool
		Checks []check
	}
	examine := func(code int, args ...string) diagnosis {
		t.Helper()
		free := []string{"doctor", "--json", "--serve.admin_listen", "127.0.0.1:0"}
		out, problems, got := photofinish(t, append(free, args...)...)
		var d diagnosis
		if err := json.Unmarshal([]byte(out), &d); err != nil || got != code || problems != "" {
			t.Fatalf("doctor %v: exit code %d, %v, %s%s", args, got, err, out, problems)
		}
		return d
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	d := examine(exitDone, "--data", data, "--listen", "127.0.0.1:0", "--rules", "../../configs/rabbits.yaml")
	var names []string
	for _, c := range d.Checks {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, ", "); !d.OK || got != "configuration, public port, admin port, disk, clickhouse, clock, schema" {
		t.Errorf("in order: %s: %+v", got, d)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := clickhousetest.Start(t, data)
	if err := migrate(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if d := examine(exitDone, "--data", data, "--listen", "127.0.0.1:0"); !strings.Contains(d.Checks[6].Detail, "columns of this version") {
		t.Errorf("with tables: %+v", d)
	}
	if err := server.Conn().Exec(t.Context(), "DROP TABLE retirements SYNC"); err != nil {
		t.Fatal(err)
	}
	d = examine(exitFailed, "--data", data, "--listen", taken.Addr().String(), "--rules", "nowhere.yaml", "--ingest.node_clock_err", "1ns")
	for i, want := range map[int]string{0: "nowhere.yaml", 1: "is taken", 6: "retirements."} {
		if c := d.Checks[i]; c.OK || c.Mend == "" || !strings.Contains(c.Detail, want) {
			t.Errorf("check %d: %+v, want %s", i, c, want)
		}
	}
	for _, i := range []int{2, 3, 4} {
		if !d.Checks[i].OK {
			t.Errorf("check %d: %+v", i, d.Checks[i])
		}
	}

	// What serve would refuse is wrong here, too.
	for _, wrong := range [][]string{{"--ingest.rate", "-1"}, {"--ingest.spool_quota", "1MiB"}, {"--serve.node", "../x"}} {
		if d := examine(exitFailed, append(wrong, "--data", data, "--listen", "127.0.0.1:0")...); d.Checks[0].OK || !strings.Contains(d.Checks[0].Detail, wrong[1]) {
			t.Errorf("%v: %+v", wrong, d.Checks[0])
		}
	}

	addr := taken.Addr().String()
	taken.Close()
	d = examine(exitFailed, "--data", data, "--listen", "127.0.0.1:0", "--clickhouse.addrs", addr)
	if c := d.Checks[4]; c.OK || c.Mend == "" || d.Checks[5].OK || d.Checks[6].OK {
		t.Errorf("without ClickHouse: %+v", d)
	}
	out, _, code := photofinish(t, "doctor", "--data", filepath.Join(dir, "doctor_test.go", "x"), "--listen", "127.0.0.1:0", "--serve.admin_listen", "127.0.0.1:0", "--clickhouse.addrs", addr)
	if code != exitFailed || !strings.Contains(out, "WRONG  clickhouse") || !strings.Contains(out, "ok     public port") {
		t.Errorf("as text: %d\n%s", code, out)
	}
}

// doctor looks at what serve would load, from the file, the environment and the options; and
// says of a configuration that cannot be read what is wrong with it, in the same form.
func TestDoctorLoadsWhatServeLoads(t *testing.T) {
	_, root := newApp(io.Discard, io.Discard)
	keys := map[string]map[string]bool{}
	for _, name := range []string{"serve", "doctor"} {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = map[string]bool{}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { keys[name][keyOf(cmd, f)] = true })
	}
	for key := range keys["serve"] {
		if !keys["doctor"][key] {
			t.Errorf("serve has %s, doctor has not", key)
		}
	}

	dir := t.TempDir()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	config := filepath.Join(dir, "photofinish.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	examine := func(args ...string) []check {
		t.Helper()
		out, problems, code := photofinish(t, append([]string{"doctor", "--json"}, args...)...)
		var d struct {
			OK     bool
			Checks []check
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil || code != exitFailed || d.OK || len(d.Checks) != 7 || problems != "" {
			t.Fatalf("doctor %v: exit code %d, %v, %s%s", args, code, err, out, problems)
		}
		return d.Checks
	}
	good := "data: " + filepath.Join(dir, "data") + "\nserve: {listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0'}\nclickhouse: {addrs: ['" + nobody.Addr().String() + "']}\n"
	write(good + "settle: {rules: nowhere.yaml}\n")
	checks := examine("--config", config)
	if c := checks[0]; c.OK || !strings.Contains(c.Detail, "nowhere.yaml") {
		t.Errorf("rules of the file: %+v", c)
	}
	if c := checks[4]; c.OK || !strings.Contains(c.Detail, nobody.Addr().String()) {
		t.Errorf("ClickHouse of the file: %+v", c)
	}
	t.Setenv("PHOTOFINISH_CONFIG", config)
	t.Setenv("PHOTOFINISH_SETTLE_RULES", "../../configs/rabbits.yaml")
	if c := examine()[0]; !c.OK || !strings.Contains(c.Detail, "rabbits.yaml; by the configuration file "+config) {
		t.Errorf("rules of the environment: %+v", c)
	}
	for text, want := range map[string]string{
		good + "ingst: {rate: 5}\n":   "ingst.rate (is it ingest.rate?)",
		good + "ingest: {rate: x}\n":  "option ingest.rate",
		good + "log: {level: loud}\n": "loud",
		good + "data: [":              "read the configuration file",
	} {
		write(text)
		checks := examine()
		if c := checks[0]; c.OK || c.Mend == "" || !strings.Contains(c.Detail, want) {
			t.Errorf("%s: %+v", text, c)
		}
		if c := checks[3]; c.OK || !strings.Contains(c.Detail, "not checked") {
			t.Errorf("%s: %+v", text, c)
		}
	}
}
