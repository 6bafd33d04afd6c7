package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// app is what every command has: where to write, and the global options.
type app struct {
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger

	args    []string          // the command line, to read the configuration again
	values  map[string]string // of all options, by key, once they are configured
	level   *slog.LevelVar
	options options

	config    string // as given; where it is not, of the environment
	data      string
	logLevel  string
	logFormat string

	clickhouseAddrs    []string
	clickhouseUser     string
	clickhousePassword string // never a flag: other users of the machine can read a command line
	clickhouseSecure   bool
	clickhouseDatabase string
	clickhouseLibrary  string
}

// newApp returns an app and its root command.
func newApp(stdout, stderr io.Writer) (*app, *cobra.Command) {
	a := &app{stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:   "photofinish",
		Short: "Decide fairly among servers that do not talk to each other",
		Long: `photofinish decides who was first, who got one of the last three, and who tops the
board: after the dust has settled, from a log that no game server had to coordinate for.

Every option is also a key of the configuration file (--config, YAML) and an environment
variable: --data is "data" and PHOTOFINISH_DATA; --rules of settle is "settle.rules" and
PHOTOFINISH_SETTLE_RULES. A flag wins over the environment, that over the file. What no
option has is an error in either.`,
		Example: `  photofinish demo
  photofinish import --server eu-1 --region eu logs/
  photofinish settle --rules rules.yaml --through 2026-11-21T07:00:00Z
  photofinish report --format html > report.html`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; see %s --help", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.configure(cmd) },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", "", "configuration file (YAML)")
	f.StringVar(&a.data, "data", "./photofinish-data", "folder of the embedded ClickHouse and the spools")
	f.StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error")
	f.StringVar(&a.logFormat, "log-format", "text", "text or json")
	keyed(f, "log-level", "log.level")
	keyed(f, "log-format", "log.format")
	f.StringSliceVar(&a.clickhouseAddrs, "clickhouse.addrs", nil, "host:port of a ClickHouse server, or of several of one cluster; empty: the embedded one")
	f.StringVar(&a.clickhouseUser, "clickhouse.user", "", "user at that server (its password: PHOTOFINISH_CLICKHOUSE_PASSWORD)")
	f.BoolVar(&a.clickhouseSecure, "clickhouse.secure", false, "speak TLS to that server")
	f.StringVar(&a.clickhouseDatabase, "clickhouse.database", "photofinish", "database of all tables")
	f.StringVar(&a.clickhouseLibrary, "clickhouse.library", "", "a libchdb.so to use instead of fetching one")
	root.AddCommand(a.serveCommand(), a.ingestCommand(), a.announceCommand(), a.forwardCommand(), a.doctorCommand(), a.demoCommand(),
		a.importCommand(), a.settleCommand(), a.reportCommand(), a.explainCommand(), a.verifyCommand(), a.nodesCommand(), a.spoolCommand(),
		a.keysCommand(), a.rulesCommand(), a.versionCommand())
	for _, cmd := range root.Commands() {
		cmd.DisableFlagsInUseLine = true
	}
	return a, root
}

// configure fills the options that the command line leaves out from the
// environment and the configuration file, and makes the logger.
func (a *app) configure(cmd *cobra.Command) error {
	if err := checkVariables(cmd.Root(), os.Environ()); err != nil {
		return err
	}
	v := viper.New()
	v.SetEnvPrefix(envPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
	v.AutomaticEnv()
	if a.config == "" {
		a.config = v.GetString("config")
	}
	if a.config != "" {
		v.SetConfigFile(a.config)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return usagef("read the configuration file %s: %w", a.config, err)
		}
		if err := checkKeys(cmd.Root(), a.config, v.AllKeys()); err != nil {
			return err
		}
	}
	var problem error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		key := keyOf(cmd, f)
		if f.Changed || problem != nil || key == "" || !v.IsSet(key) {
			return
		}
		if err := set(f, v, key); err != nil {
			problem = usagef("option %s: %w", key, err)
		}
		f.Changed = true
	})
	a.clickhousePassword = v.GetString(passwordKey)
	if problem != nil {
		return problem
	}
	a.values = map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if key := keyOf(cmd, f); key != "" {
			a.values[key] = f.Value.String()
		}
	})
	return a.openLog()
}

const passwordKey = "clickhouse.password"

// set gives a flag the value that a file or the environment has for its key.
func set(f *pflag.Flag, v *viper.Viper, key string) error {
	if _, list := v.Get(key).([]any); !list {
		return f.Value.Set(v.GetString(key))
	}
	into, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return fmt.Errorf("%v is a list, want one value", v.Get(key))
	}
	return into.Replace(v.GetStringSlice(key))
}

// keyAnnotation is the configuration key of a flag that is not named for it.
const keyAnnotation = "photofinish_key"

// keyed says that a flag's configuration key is not its name.
func keyed(f *pflag.FlagSet, name, key string) {
	f.Lookup(name).Annotations = map[string][]string{keyAnnotation: {key}}
}

// alsoBy lets flags be given by other names, their keys: from key to name.
func alsoBy(f *pflag.FlagSet, names map[string]string) {
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(cmp.Or(names[name], name))
	})
}

// keyOf returns the configuration key of a flag: its own, else its name, after the command's
// where the flag is not global and has no dot. Help has none.
func keyOf(cmd *cobra.Command, f *pflag.Flag) string {
	if f.Name == "help" || f.Name == "config" {
		return ""
	}
	if key := f.Annotations[keyAnnotation]; len(key) == 1 {
		return key[0]
	}
	if strings.Contains(f.Name, ".") {
		return f.Name
	}
	if cmd.Root().PersistentFlags().Lookup(f.Name) != nil {
		return f.Name
	}
	path := strings.Fields(cmd.CommandPath())[1:]
	return strings.Join(append(path, f.Name), ".")
}

func (a *app) openLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return usagef("--log-level is %q: give debug, info, warn or error", a.logLevel)
	}
	a.level = &slog.LevelVar{}
	a.level.Set(level)
	options := &slog.HandlerOptions{Level: a.level}
	switch a.logFormat {
	case "text":
		a.log = slog.New(slog.NewTextHandler(a.stderr, options))
	case "json":
		a.log = slog.New(slog.NewJSONHandler(a.stderr, options))
	default:
		return usagef("--log-format is %q: give text or json", a.logFormat)
	}
	return nil
}

// exactArgs is cobra.ExactArgs with our exit code and words.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("%s takes %s, got %d arguments; see %s --help", cmd.CommandPath(), argNames(names), len(args), cmd.CommandPath())
		}
		return nil
	}
}

func argNames(names []string) string {
	if len(names) == 0 {
		return "no arguments"
	}
	return strings.Join(names, " ")
}

// printf writes to standard output.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }
