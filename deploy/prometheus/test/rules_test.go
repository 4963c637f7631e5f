// Package test runs the alert rules on time series, in Prometheus' own code. It is
// a module of its own, so that Pithos does not depend on Prometheus:
// cd deploy/prometheus/test && go test .
package test

import (
	"context"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

// file is a test file in the format of 'promtool test rules', with the fields that
// are used here.
type file struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval duration `yaml:"evaluation_interval"`
	Tests              []struct {
		Name        string `yaml:"name"`
		Interval    duration
		InputSeries []struct {
			Series string
			Values string
		} `yaml:"input_series"`
		AlertRuleTest []struct {
			EvalTime  duration `yaml:"eval_time"`
			Alertname string
			ExpAlerts []struct {
				ExpLabels map[string]string `yaml:"exp_labels"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

type duration time.Duration

func (d *duration) UnmarshalYAML(n *yaml.Node) error {
	parsed, err := time.ParseDuration(n.Value)
	*d = duration(parsed)
	return err
}

const rulesFile = "../pithos.rules.yaml"

func readTests(t *testing.T) file {
	t.Helper()
	f, err := os.Open("../pithos.rules.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var tests file
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&tests); err != nil {
		t.Fatal(err)
	}
	return tests
}

// groups loads the rules as Prometheus does, for evaluation on l.
func groups(t *testing.T, l *promqltest.LazyLoader, interval time.Duration) []*rules.Group {
	t.Helper()
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(l.QueryEngine(), l.Storage()), Appendable: l.Storage(), Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: promslog.NewNopLogger(),
	})
	byName, errs := m.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, rulesFile)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []*rules.Group
	for _, g := range byName {
		all = append(all, g)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name() > all[j].Name() }) // what is recorded, then the alerts
	return all
}

// firing returns the labels of the firing alerts of a name.
func firing(all []*rules.Group, name string) map[string]bool {
	raised := map[string]bool{}
	for _, g := range all {
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				if r.Name() == name && a.State == rules.StateFiring {
					raised[a.Labels.String()] = true
				}
			}
		}
	}
	return raised
}

func TestAlertsAreRaisedWhenTheyShould(t *testing.T) {
	tests := readTests(t)
	tested := map[string]bool{}
	for _, c := range tests.Tests {
		t.Run(c.Name, func(t *testing.T) {
			load := "load " + time.Duration(c.Interval).String() + "\n"
			for _, s := range c.InputSeries {
				load += "  " + s.Series + " " + s.Values + "\n"
			}
			l, err := promqltest.NewLazyLoader(load, promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			all := groups(t, l, time.Duration(tests.EvaluationInterval))
			end := time.Duration(0)
			for _, a := range c.AlertRuleTest {
				end = max(end, time.Duration(a.EvalTime))
			}
			for at := time.Duration(0); at <= end; at += time.Duration(tests.EvaluationInterval) {
				evaluate(t, l, all, at)
				for _, a := range c.AlertRuleTest {
					if time.Duration(a.EvalTime) != at {
						continue
					}
					want := map[string]bool{}
					for _, e := range a.ExpAlerts {
						e.ExpLabels[labels.AlertName] = a.Alertname
						want[labels.FromMap(e.ExpLabels).String()] = true
						tested[a.Alertname] = true
					}
					if got := firing(all, a.Alertname); !reflect.DeepEqual(got, want) {
						t.Errorf("after %s: %v, want %v", at, got, want)
					}
				}
			}
		})
	}
	everyAlertIsTested(t, tested)
}

func evaluate(t *testing.T, l *promqltest.LazyLoader, all []*rules.Group, at time.Duration) {
	t.Helper()
	ts := time.Unix(0, 0).UTC().Add(at)
	l.WithSamplesTill(ts, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			g.Eval(t.Context(), ts)
			for _, r := range g.Rules() {
				if r.LastError() != nil {
					t.Fatalf("%s: %v", r.Name(), r.LastError())
				}
			}
		}
	})
}

func everyAlertIsTested(t *testing.T, tested map[string]bool) {
	t.Helper()
	l, err := promqltest.NewLazyLoader("load 1m\n", promqltest.LazyLoaderOpts{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, g := range groups(t, l, time.Minute) {
		for _, r := range g.AlertingRules() {
			if !tested[r.Name()] {
				t.Errorf("%s: no test makes it fire", r.Name())
			}
			if runbook := r.Annotations().Get("runbook"); !strings.HasSuffix(runbook, "#"+strings.ToLower(r.Name())) {
				t.Errorf("%s: runbook %q", r.Name(), runbook)
			}
		}
	}
}
