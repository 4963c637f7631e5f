package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/internal/control"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/keyadmin"
)

const keyHelp = `Key manages the access keys that are kept in the store. Their secrets are
stored encrypted under the master key, which must therefore be configured on
Cassandra (PITHOS_MASTER_KEY or encryption.master-key-file); the embedded
engine has its own.

Keys of the configuration (keystore.keys, PITHOS_ACCESS_KEY) are not among
them: they are changed there.

Gateways notice a new or revoked key within five seconds. The embedded engine
can be opened by one process at a time: while 'pithos serve' runs, this command
asks it, at a socket in the data directory that only its own user can reach.`

func newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Create, list and revoke access keys",
		Long:    keyHelp,
		Example: "  pithos key create --tenant alice@example.com\n  pithos key list\n  pithos key revoke PKEXAMPLE",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyCreateCommand(), newKeyListCommand(), newKeyRevokeCommand())
	return cmd
}

func newKeyCreateCommand() *cobra.Command {
	var (
		key   keyadmin.NewKey
		stdin bool
		out   output
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create an access key and print its secret, once",
		Long: "Create makes an access key and prints it with its secret. The secret cannot be\n" +
			"shown again. What the key creates belongs to its tenant; keys of one tenant\n" +
			"see the same buckets.",
		Example: `  pithos key create --tenant alice@example.com
  pithos key create --tenant backup --group operators --json
  echo "$SECRET" | pithos key create --access-key BACKUP --secret-key-stdin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if stdin {
				secret, err := readSecret(cmd.InOrStdin())
				if err != nil {
					return withCode(exitUsage, err)
				}
				key.Secret = secret
			}
			return withKeys(cmd, func(ctx context.Context, keys keyadmin.Keyring) error {
				created, err := keys.Create(ctx, key)
				if err != nil {
					return fmt.Errorf("create the access key: %w", err)
				}
				return printNewKey(cmd, &out, created, stdin)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key.Tenant, "tenant", config.RootTenant, "who the key speaks for: the owner of what it makes")
	flags.BoolVar(&key.Master, "master", false, "an operator's key, which reaches every tenant's buckets")
	flags.StringArrayVar(&key.Groups, "group", nil, "`group` of the tenant, which ACLs can name; may be repeated")
	flags.StringVar(&key.ID, "access-key", "", "`id` of the key (default: a random one)")
	flags.BoolVar(&stdin, "secret-key-stdin", false, "read the secret from the first line of standard input (default: a random one)")
	out.flag(cmd, "object")
	return cmd
}

// readSecret reads one line, so that a secret need not be an argument, which
// every user of the machine could see.
func readSecret(in io.Reader) (config.Secret, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	secret := strings.TrimRight(line, "\r\n")
	if secret == "" {
		return "", errors.New("standard input has no secret in its first line")
	}
	return config.Secret(secret), nil
}

// printNewKey prints a key that was just created. It leaves out a secret that
// the user has given.
func printNewKey(cmd *cobra.Command, out *output, key keyadmin.NewKey, given bool) error {
	secret := key.Secret.Reveal()
	if given {
		secret = ""
	}
	document := struct {
		keyadmin.NewKey
		Secret string `json:"secret_key,omitempty"`
	}{key, secret}
	text := fmt.Sprintf("access key  %s\n", key.ID)
	if secret != "" {
		text += fmt.Sprintf("secret key  %s\n", secret)
	}
	text += fmt.Sprintf("tenant      %s\n", key.Tenant)
	if secret != "" {
		text += "\nKeep the secret now: it cannot be shown again.\n"
	}
	return out.print(cmd, document, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func newKeyListCommand() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the access keys of the store",
		Long:    "List shows the access keys that are kept in the store, never their secrets.",
		Example: "  pithos key list\n  pithos key list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd, func(ctx context.Context, keys keyadmin.Keyring) error {
				all, err := keys.List(ctx)
				if err != nil {
					return err
				}
				return out.print(cmd, all, func(w io.Writer) error { return printKeys(w, all) })
			})
		},
	}
	out.flag(cmd, "array")
	return cmd
}

func printKeys(w io.Writer, keys []keyadmin.StoredKey) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ACCESS KEY\tTENANT\tMASTER\tGROUPS\tCREATED")
	for _, k := range keys {
		master := "no"
		if k.Master {
			master = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Tenant, master, strings.Join(k.Groups, ","), k.Created.Format(time.RFC3339))
	}
	return table.Flush() // returns the errors of the writes above
}

func newKeyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke <access key>",
		Short:   "Revoke an access key of the store",
		Long:    "Revoke removes an access key for good. Gateways refuse it within five seconds.\nBuckets and objects of its tenant stay.",
		Example: "  pithos key revoke PKEXAMPLE",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKeys(cmd, func(ctx context.Context, keys keyadmin.Keyring) error {
				err := keys.Revoke(ctx, args[0])
				switch {
				case errors.Is(err, keyadmin.ErrConfiguredKey):
					return fmt.Errorf("%w: remove it there (keystore.keys, or PITHOS_ACCESS_KEY)", err)
				case errors.Is(err, keyadmin.ErrNoSuchKey):
					return fmt.Errorf("%w; 'pithos key list' shows them all", err)
				case err != nil:
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "revoked %s\n", args[0])
				return err
			})
		},
	}
}

// withKeys opens the keys of the configured engine for the time of use.
func withKeys(cmd *cobra.Command, use func(context.Context, keyadmin.Keyring) error) error {
	return keyError(administer(cmd, control.RemoteKeys, func(e *engine.Engine, cfg *config.Config) keyadmin.Keyring { return e.Admin(cfg) }, use))
}

// keyError gives an error of managing keys its exit code.
func keyError(err error) error {
	if errors.Is(err, crypt.ErrNoMasterKey) {
		return withCode(exitConfig, err)
	}
	return err
}
