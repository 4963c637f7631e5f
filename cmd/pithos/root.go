package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
)

// verbs makes the subcommands, in the order in which help shows them. A verb
// is a file of this folder and a line here.
var verbs = []func() *cobra.Command{
	newServeCommand,
	newBootstrapCommand,
	newRewrapCommand,
	newKeyCommand,
	newBackupCommand,
	newJobsCommand,
	newCheckCommand,
	newHealthcheckCommand,
	newVersionCommand,
}

const configFlag = "config"

const rootHelp = `Pithos is an object store that speaks S3. It keeps everything in Apache
Cassandra or, where none is configured, in a directory on this machine.

The configuration is one YAML file: the one that -f names, else the one that
$PITHOS_CONFIGURATION names, else ` + config.DefaultPath + ` if it exists. Without a file the
defaults hold: the embedded engine in ./pithos-data on 127.0.0.1:8080.

These environment variables win over the file:
  PITHOS_LISTEN          address to listen on, host:port
  PITHOS_TRUSTED_PROXIES  proxies that tell the address of their clients
  PITHOS_ADMIN_LISTEN    address of the port for operators: metrics, profiles
  PITHOS_DATA            directory of the embedded engine
  PITHOS_POD             pod of a StatefulSet: only the first one serves
  PITHOS_ACCESS_KEY      access key of a root key, with
  PITHOS_SECRET_KEY      its secret
  PITHOS_BUCKETS         buckets to make at start: demo,backup
  PITHOS_CASSANDRA_HOST  contact points; chooses Cassandra: host1,host2:9042
  PITHOS_CASSANDRA_USERNAME  user for Cassandra, with
  PITHOS_CASSANDRA_PASSWORD  its password
  PITHOS_SERVICE_URI     host names for bucket.host addresses: s3.example.com
  PITHOS_REGION          the default region
  PITHOS_MASTER_KEY      key for encryption at rest: base64 of 32 bytes

Exit codes:
`

const rootExample = `  # A server on this machine without configuration; it prints the settings for clients.
  pithos serve

  # The same for a test run, with a given key and bucket.
  PITHOS_ACCESS_KEY=demo PITHOS_SECRET_KEY=demo-secret PITHOS_BUCKETS=demo pithos serve

  # On Cassandra: install the schema once, then run any number of gateways.
  pithos bootstrap -f pithos.yaml
  pithos serve -f pithos.yaml`

// newRootCommand returns the command line. It writes results to stdout and
// everything else to stderr. It sets *started when the code of a verb begins:
// errors before that are usage errors.
func newRootCommand(stdout, stderr io.Writer, started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:               "pithos",
		Short:             "An S3-compatible object store over Apache Cassandra",
		Long:              rootHelp + strings.TrimSuffix(exitHelp(), "\n"),
		Example:           rootExample,
		Version:           currentBuild().Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	flags := root.PersistentFlags()
	flags.StringP(configFlag, "f", "", "configuration `file` (default $PITHOS_CONFIGURATION, else "+config.DefaultPath+" if it exists)")
	if err := root.MarkPersistentFlagFilename(configFlag, "yaml", "yml"); err != nil {
		panic(err) // the flag was defined two lines above
	}
	for _, verb := range verbs {
		root.AddCommand(verb())
	}
	root.InitDefaultCompletionCmd() // now, so that noteStart meets it
	noteStart(root, started)
	return root
}

// noteStart makes every verb set *started before its own code runs.
func noteStart(c *cobra.Command, started *bool) {
	if own := c.RunE; own != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return own(cmd, args)
		}
	}
	for _, child := range c.Commands() {
		noteStart(child, started)
	}
}

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var started bool
	root := newRootCommand(stdout, stderr, &started)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !started {
		err = withCode(exitUsage, err)
	}
	report(stderr, cmd, err)
	return exitCode(err)
}

// report prints an error, and where to find help.
func report(stderr io.Writer, cmd *cobra.Command, err error) {
	text := strings.TrimRight(err.Error(), "\n")
	fmt.Fprintf(stderr, "pithos: %s\n", strings.ReplaceAll(text, "\n", "\npithos: "))
	switch exitCode(err) {
	case exitUsage:
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	case exitConfig:
		fmt.Fprintln(stderr, "docs/configuration.md lists every key.")
	}
}

// loadConfig reads the configuration that a verb's flags and the environment
// choose.
func loadConfig(cmd *cobra.Command) (config.Config, error) {
	flag := cmd.Flag(configFlag)
	path := flag.Value.String()
	if !flag.Changed {
		path = config.DefaultPath
	}
	return config.Load(path, flag.Changed, os.Getenv)
}
