// Package deploy tests the files that are shipped with the binary against the
// binary: dashboard, alert rules, units, packages, the image and the compose
// files. The module prometheus/test runs the alert rules in Prometheus' own code.
package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/edge"
	"github.com/pithos/pithos/internal/metrics"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// shown are the metrics that a gateway has.
func shown(t *testing.T) []string {
	t.Helper()
	cfg := config.Default()
	m := edge.NewServer(&cfg, zap.NewNop(), nil).Metrics()
	m.Build("v1", "")
	m.Database("meta", func() metrics.Database { return metrics.Database{} })
	return m.Names()
}

var metricName = regexp.MustCompile(`\b(?:pithos|go|process)_[a-z0-9_]+\b`)

// unknown returns the metric names in an expression that no gateway has. Text in
// quotes is no metric.
func unknown(expr string, have []string) []string {
	var out []string
	for _, name := range metricName.FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, `""`), -1) {
		if !slices.Contains(have, name) {
			out = append(out, name)
		}
	}
	return out
}

type dashboard struct {
	UID    string
	Panels []struct {
		ID      int
		Type    string
		Title   string
		Targets []struct{ Expr, LegendFormat string }
		GridPos struct{ X, Y, W, H int }
	}
	Templating struct {
		List []struct{ Name, Query string }
	}
}

func TestDashboardShowsMetricsThatExist(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "grafana/pithos.json")), &d); err != nil {
		t.Fatal(err)
	}
	have, used, ids := shown(t), map[string]bool{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q: the id is not unique, or the panel is too wide", p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			if names := unknown(target.Expr, have); len(names) > 0 {
				t.Errorf("panel %q shows %v, which no gateway has", p.Title, names)
			}
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				used[name] = true
			}
			if !strings.Contains(target.Expr, `job=~"$job"`) {
				t.Errorf("panel %q: %s does not select the job", p.Title, target.Expr)
			}
		}
	}
	for _, v := range d.Templating.List {
		if names := unknown(v.Query, have); len(names) > 0 {
			t.Errorf("variable %s queries %v, which no gateway has", v.Name, names)
		}
	}
	if len(used) < 30 {
		t.Errorf("only %d metrics are shown: %v", len(used), used)
	}
}

type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Record, Alert, Expr, For string
			Labels, Annotations      map[string]string
		}
	}
}

func TestAlertsWatchMetricsThatExist(t *testing.T) {
	var all rules
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/pithos.rules.yaml")), &all); err != nil {
		t.Fatal(err)
	}
	have, page := shown(t), read(t, "../docs/monitoring.md")
	recorded := map[string]bool{}
	alerts := 0
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded[r.Record] = true
			}
			for _, name := range regexp.MustCompile(`pithos:[a-z0-9_:]+`).FindAllString(r.Expr, -1) {
				if !recorded[name] {
					t.Errorf("%s uses %s, which no rule before it records", r.Alert, name)
				}
			}
			if names := unknown(r.Expr, have); len(names) > 0 {
				t.Errorf("%s%s uses %v, which no gateway has", r.Alert, r.Record, names)
			}
			if r.Alert == "" {
				continue
			}
			alerts++
			if !strings.Contains(page, "### "+r.Alert+"\n") {
				t.Errorf("docs/monitoring.md does not say what to do about %s", r.Alert)
			}
		}
	}
	if alerts < 10 {
		t.Errorf("%d alerts", alerts)
	}
	for _, name := range metricName.FindAllString(page, -1) {
		if !slices.Contains(have, name) {
			t.Errorf("docs/monitoring.md names %s, which no gateway has", name)
		}
	}
	for _, name := range have {
		if strings.HasPrefix(name, "pithos_") && !regexp.MustCompile(`_(bucket|count|sum)$`).MatchString(name) && !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/monitoring.md does not explain %s", name)
		}
	}
}

type packaging struct {
	Contents []struct{ Src, Dst, Type string }
	Scripts  map[string]string
}

func TestPackageTakesFilesThatExist(t *testing.T) {
	var p packaging
	if err := yaml.Unmarshal([]byte(read(t, "packaging/nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, c := range p.Contents {
		if targets[c.Dst] && !strings.HasSuffix(c.Dst, "/") {
			t.Errorf("%s is installed twice", c.Dst)
		}
		targets[c.Dst] = true
		if c.Src == "" || strings.HasPrefix(c.Src, "dist/") {
			continue
		}
		if found, err := filepath.Glob(filepath.Join("..", c.Src)); err != nil || len(found) == 0 {
			t.Errorf("%s: there is no such file", c.Src)
		}
	}
	for _, name := range []string{"postinstall", "preremove", "postremove"} {
		if p.Scripts[name] == "" {
			t.Errorf("there is no script %s", name)
		}
	}
	for _, want := range []string{"/usr/bin/pithos", "/etc/pithos/pithos.yaml", "/usr/lib/systemd/system/pithos.service", "/usr/share/man/man1/"} {
		if !targets[want] {
			t.Errorf("%s is not installed", want)
		}
	}
	for name, script := range p.Scripts {
		if out, err := exec.Command("sh", "-n", filepath.Join("..", script)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestPackagedConfigurationHolds(t *testing.T) {
	text := read(t, "packaging/pithos.yaml")
	uncommented := regexp.MustCompile(`(?m)^# ((?:admin|keystore|bucketstore):|  .*)$`).ReplaceAllString(text, "$1")
	for name, yaml := range map[string]string{"as shipped": text, "with the comments as settings": uncommented} {
		path := filepath.Join(t.TempDir(), "pithos.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, true, func(string) string { return "" })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name != "as shipped" && (cfg.Admin.Listen == "" || len(cfg.Keystore.Keys) != 1 || cfg.Engine() != config.CassandraEngine) {
			t.Errorf("%s: %+v", name, cfg)
		}
	}
}

// unit reads a unit of systemd: its directives, by section and name.
func unit(t *testing.T, file string) map[string][]string {
	t.Helper()
	all, section := map[string][]string{}, ""
	for line := range strings.Lines(read(t, filepath.Join("systemd", file))) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				t.Errorf("%s: %q is not a directive", file, line)
			}
			all[section+"."+name] = append(all[section+"."+name], value)
		}
	}
	return all
}

func TestUnitsAgreeWithTheBinary(t *testing.T) {
	service := unit(t, "pithos.service")
	for name, want := range map[string]string{
		"Service.Type": "notify", "Service.ExecStart": "/usr/bin/pithos serve", "Service.User": "pithos",
		"Service.NoNewPrivileges": "yes", "Service.ProtectSystem": "strict", "Service.CapabilityBoundingSet": "",
		"Service.ExecReload": "/bin/kill -HUP $MAINPID",
	} {
		if got := service[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := unit(t, "pithos-admin.socket")["Socket.FileDescriptorName"]; len(got) != 1 || got[0] != "admin" {
		t.Errorf("the operators' socket is named %q", got)
	}
	if got := unit(t, "pithos.socket")["Socket.ListenStream"]; len(got) != 1 || got[0] != "127.0.0.1:8080" { // as in packaging/pithos.yaml
		t.Errorf("the socket listens on %q", got)
	}
}

func TestSystemdKnowsEveryDirective(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for _, file := range []string{"pithos.service", "pithos.socket", "pithos-admin.socket"} {
		// pithos is not installed on this machine: verify with another binary.
		text := strings.ReplaceAll(read(t, filepath.Join("systemd", file)), "/usr/bin/pithos serve", "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, "pithos.service"), filepath.Join(dir, "pithos.socket"), filepath.Join(dir, "pithos-admin.socket")).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// It also reports other units of the machine, and missing users.
		if strings.Contains(line, "pithos") && (strings.Contains(line, "Unknown") || strings.Contains(line, "Failed to parse") || strings.Contains(line, "Invalid")) {
			t.Error(strings.TrimSpace(line))
		}
	}
}
