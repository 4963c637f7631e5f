package test

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
)

// TestTheDocumentedScrapeConfigurationLoads reads the configuration of
// docs/monitoring.md as Prometheus would.
func TestTheDocumentedScrapeConfigurationLoads(t *testing.T) {
	page, err := os.ReadFile("../../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "\n    scrape_configs:\n")
	block, _, _ = strings.Cut(block, "\n\n")
	if !found {
		t.Fatal("docs/monitoring.md has no scrape configuration")
	}
	loaded, err := config.Load("    scrape_configs:\n"+block+"\n", promslog.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	scrape, err := loaded.GetScrapeConfigs()
	if err != nil {
		t.Fatal(err)
	}
	if len(scrape) != 1 || scrape[0].MetricsPath != "/metrics" || len(scrape[0].ServiceDiscoveryConfigs) != 1 {
		t.Errorf("it scrapes %+v", scrape)
	}
}
