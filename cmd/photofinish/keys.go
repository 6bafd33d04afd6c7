package main

import (
	"context"
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // every node must know the zone of a key, whatever its machine has

	"github.com/spf13/cobra"

	"photofinish/cmd/clickhouse"
	"photofinish/ingest/keys"
	"photofinish/rules"
)

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys create|list|rotate|revoke",
		Short: "Make and end the keys by which game servers push and others read",
		Example: `  photofinish keys create --server eu-1 --region eu
  (umask 077 && photofinish keys create --server eu-1 --region eu > eu-1.key)
  photofinish keys list`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: keys create, list, rotate or revoke", keyID(args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.createKeyCommand(), a.listKeysCommand(), a.rotateKeyCommand(), a.revokeKeyCommand())
	return cmd
}

func (a *app) createKeyCommand() *cobra.Command {
	var g keys.Grant
	var role string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create --server NAME --region R [flags]",
		Short: "Make a key; it is shown once",
		Long: `Makes a key and prints it. It is shown this once: only its hash is kept. A server's key
names the server and its region, so what is sent with it is that server's, and the zone of
stamps in the source logs that it sends. A server has at most two active keys, so that
one can replace the other. With --role consumer or operator the key is for who reads: it
has no server and no region.`,
		Example: `  photofinish keys create --server eu-1 --region eu
  (umask 077 && photofinish keys create --server eu-1 --region eu > eu-1.key)
  photofinish keys create --server cs-7 --region us --timezone America/Chicago --json
  photofinish keys create --role operator`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			g.Role = keys.Role(role)
			if g.Role == keys.RoleServer {
				if g.Server == "" || g.Region == "" {
					return usagef("name the game server and its region: keys create --server NAME --region R; or who reads: --role consumer|operator")
				}
				if !cmd.Flags().Changed("timezone") {
					g.Timezone = "UTC"
				}
			}
			if err := g.Check(); err != nil { // before a data folder is made for nothing
				return fmt.Errorf("keys create: %w", err)
			}
			return a.withStore(cmd.Context(), func(server *clickhouse.Server) error {
				text, k, err := keys.Create(cmd.Context(), server.Conn(), g, time.Now())
				if err != nil {
					return keyError(err)
				}
				return a.printNewKey(text, &k, "", asJSON)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&g.Server, "server", "", "the game server that may push with it")
	f.StringVar(&g.Region, "region", "", "where that server stands")
	f.StringVar(&g.Timezone, "timezone", "", "zone of the times in its source logs (default UTC)")
	f.StringVar(&role, "role", string(keys.RoleServer), "server, consumer (reads the feed of changes) or operator (reads everything)")
	f.BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (a *app) rotateKeyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Make a key that stands for the same as another; revoke the old one when it is no longer used",
		Long: `Makes a key for the same server, region, zone and role as the key ID, and prints it. The old key
stays valid until you revoke it, so the server never stops: give it the new key, then revoke the old.`,
		Example: "  photofinish keys rotate 5f0c2a9be1d47c36",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needData(); err != nil {
				return err
			}
			id := keyID(args[0])
			return a.withStore(cmd.Context(), func(server *clickhouse.Server) error {
				text, k, err := keys.Rotate(cmd.Context(), server.Conn(), id, time.Now())
				if err != nil {
					return keyError(err)
				}
				return a.printNewKey(text, &k, id, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (a *app) revokeKeyCommand() *cobra.Command {
	var asJSON, force bool
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key at once",
		Long: `Ends a key. Each node that reaches ClickHouse refuses it within seconds. Events that came by it stay.
With --force a key is ended that is not listed: where the tables were lost, nodes still take it by
their own files.`,
		Example: "  photofinish keys revoke 5f0c2a9be1d47c36",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needData(); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(server *clickhouse.Server) error {
				revoke := keys.Revoke
				if force {
					revoke = keys.RevokeLost
				}
				k, err := revoke(cmd.Context(), server.Conn(), keyID(args[0]), time.Now())
				if errors.Is(err, keys.ErrNoKey) {
					err = fmt.Errorf("%w; if nodes still take it, since the tables were lost: keys revoke --force ID", err)
				}
				if err != nil {
					return keyError(err)
				}
				if asJSON {
					return a.printJSON(keyOut(&k))
				}
				a.printf("key %s is revoked since %s\n", k.ID, k.Revoked)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&force, "force", false, "also where the key is not listed")
	return cmd
}

func (a *app) listKeysCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show every key that was ever made, without its secret",
		Example: "  photofinish keys list --json",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.needData(); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(server *clickhouse.Server) error {
				return a.printKeys(cmd.Context(), server, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (a *app) printKeys(ctx context.Context, server *clickhouse.Server, asJSON bool) error {
	list, err := keys.List(ctx, server.Conn())
	if err != nil {
		return err
	}
	if asJSON {
		out := make([]keyJSON, 0, len(list))
		for i := range list {
			out = append(out, keyOut(&list[i]))
		}
		return a.printJSON(out)
	}
	if len(list) == 0 {
		a.printf("there are no keys yet; keys create makes one\n")
	}
	for i := range list {
		k := &list[i]
		who := string(k.Role)
		if k.Role == keys.RoleServer {
			who = fmt.Sprintf("server %s, region %s, zone %s", visible(k.Server), visible(k.Region), k.Timezone)
		}
		if k.Role == "" { // a revocation is all that is known
			a.printf("%s: nothing else is known of it", k.ID)
		} else {
			a.printf("%s: %s; created %s", k.ID, who, k.Created)
		}
		if !k.Active() {
			a.printf(", revoked %s", k.Revoked)
		}
		a.printf("\n")
	}
	return nil
}

// keyJSON is a key as the outside sees it.
type keyJSON struct {
	ID       string         `json:"id"`
	Key      string         `json:"key,omitempty"` // only when it was just made
	Server   string         `json:"server"`
	Region   string         `json:"region"`
	Role     keys.Role      `json:"role"`
	Timezone string         `json:"timezone"`
	Created  rules.Instant  `json:"created"`
	Revoked  *rules.Instant `json:"revoked"`
	Replaces string         `json:"replaces,omitempty"`
}

func keyOut(k *keys.Key) keyJSON {
	return keyJSON{
		ID: k.ID, Server: k.Server, Region: k.Region, Role: k.Role, Timezone: k.Timezone,
		Created: k.Created, Revoked: someInstant(k.Revoked),
	}
}

// printNewKey prints the key alone on standard output, so that this may be a file of the
// key, and what a person should know of it elsewhere.
func (a *app) printNewKey(text string, k *keys.Key, replaces string, asJSON bool) error {
	if asJSON {
		out := keyOut(k)
		out.Key, out.Replaces = text, replaces
		return a.printJSON(out)
	}
	a.printf("%s\n", text)
	fmt.Fprintf(a.stderr, "This is key %s, shown this once: keep it safe. Nodes that reach ClickHouse take it at once.\n", k.ID)
	if replaces != "" {
		fmt.Fprintf(a.stderr, "The key %s stays valid until you run: photofinish keys revoke %s\n", replaces, replaces)
	}
	return nil
}

// keyID takes the id out of a whole key that was given instead: a secret is repeated in
// no message.
func keyID(arg string) string {
	if id, ok := keys.IDOf(arg); ok {
		return id
	}
	return arg
}

// keyError marks what the user must change.
func keyError(err error) error {
	for _, wrong := range []error{keys.ErrNoKey, keys.ErrNoID, keys.ErrRevoked, keys.ErrActive, keys.ErrMoved} {
		if errors.Is(err, wrong) {
			return usageError{err}
		}
	}
	return err
}
