package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
)

const healthcheckHelp = `Healthcheck asks the pithos that serves on this machine with this configuration
whether it is ready (GET /-/ready), and ends with 0 if it is, else with 1. It
is what a container without a shell runs to know.`

func newHealthcheckCommand() *cobra.Command {
	var timeout time.Duration
	var live bool
	cmd := &cobra.Command{
		Use:     "healthcheck",
		Short:   "Ask the pithos that serves here whether it is ready",
		Long:    healthcheckHelp,
		Example: "  pithos healthcheck\n  pithos healthcheck -f pithos.yaml --live --timeout 1s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return withCode(exitUsage, fmt.Errorf("--timeout is %s: want a positive time", timeout))
			}
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return healthcheck(ctx, &cfg, live, cmd.OutOrStdout())
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 4*time.Second, "how long to wait for an answer")
	cmd.Flags().BoolVar(&live, "live", false, "ask whether the process runs (GET /-/live), whatever its database does")
	return cmd
}

// healthcheck asks once. Any answer but 200 is an error that quotes it.
func healthcheck(ctx context.Context, cfg *config.Config, live bool, out io.Writer) error {
	if cfg.Service.Port == 0 {
		return withCode(exitConfig, fmt.Errorf("service.port is 0: the system chose the port, which only the serving process knows"))
	}
	address, err := endpointURL(cfg.ListenAddress(), cfg.Service.TLS.Enabled())
	if err != nil {
		return err
	}
	address += "/-/ready"
	if live {
		address = strings.TrimSuffix(address, "ready") + "live"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	answer, err := healthClient().Do(request)
	if err != nil {
		return err // which names method and address
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1024))
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", address, answer.Status, strings.TrimSpace(string(text)))
	}
	_, err = out.Write(text)
	return err
}

// healthClient talks to this machine alone: no proxy of the environment comes
// in between. The certificate is made for the name that clients use, which is
// not the address asked here, and nothing secret is sent: so any will do.
func healthClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
