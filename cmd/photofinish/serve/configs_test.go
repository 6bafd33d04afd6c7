package serve

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// named returns the metrics that a text names.
func named(text string) []string {
	return regexp.MustCompile(`photofinish_[a-z_]+`).FindAllString(text, -1)
}

// The alert rules and the dashboard are well formed, and every metric that they name
// exists; the settlement, watermarks, spools and holes have an alert.
func TestAlertsAndDashboard(t *testing.T) {
	families, err := every(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range families {
		known[f.GetName()] = true
		known[f.GetName()+"_bucket"] = f.GetType().String() == "HISTOGRAM"
	}
	read := func(name string) []byte {
		text, err := os.ReadFile("../../../configs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var alerts struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(read("prometheus-rules.yaml"), &alerts, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" || len(named(r.Expr)) == 0 {
				t.Errorf("the alert %q lacks something", r.Alert)
			}
			exprs = append(exprs, r.Expr)
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read("grafana-dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("the panel %q lacks something", p.Title)
		}
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	all := strings.Join(exprs, "\n")
	for _, metric := range named(all) {
		if !known[metric] {
			t.Errorf("there is no metric %s", metric)
		}
	}
	for _, expr := range exprs {
		if strings.Count(expr, "(") != strings.Count(expr, ")") {
			t.Errorf("%s is not an expression", expr)
		}
	}
	for _, metric := range []string{"settle_last_success", "watermark_lag", "spool_events", "settle_warnings", "lost_events"} {
		if !strings.Contains(all, metric) {
			t.Errorf("nothing looks at %s", metric)
		}
	}
}
