package main

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"photofinish/rules/rulefile"
)

const envPrefix = "PHOTOFINISH"

// variableOf returns the environment variable of a configuration key.
func variableOf(key string) string {
	return envPrefix + "_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// knownKeys lists the configuration keys of all commands, sorted.
func knownKeys(root *cobra.Command) []string {
	known := []string{passwordKey}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		add := func(f *pflag.Flag) {
			if key := keyOf(cmd, f); key != "" {
				known = append(known, key)
			}
		}
		cmd.Flags().VisitAll(add)
		cmd.PersistentFlags().VisitAll(add)
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	slices.Sort(known)
	return slices.Compact(known)
}

// checkVariables refuses variables of our prefix that no option has: a misspelled one
// would otherwise do nothing, in silence. A variable that is empty is not set, as for an
// option. Values are not shown, since one may be a secret.
func checkVariables(root *cobra.Command, environment []string) error {
	known := []string{variableOf("config")}
	for _, key := range knownKeys(root) {
		known = append(known, variableOf(key))
	}
	var unknown []string
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, envPrefix+"_") && value != "" && !slices.Contains(known, name) && !ofKubernetes(name, value) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return usagef("the environment has unknown variables: %s", guessed(unknown, known))
}

var kubernetesName = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// ofKubernetes reports whether Kubernetes sets such a variable, in every pod, where a
// service's name begins with ours.
func ofKubernetes(name, value string) bool {
	return kubernetesName.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// checkKeys refuses keys of the configuration file that no option has.
func checkKeys(root *cobra.Command, file string, keys []string) error {
	known := knownKeys(root)
	var unknown []string
	for _, key := range keys {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return usagef("the configuration file %s has unknown keys: %s", file, guessed(unknown, known))
}

// guessed lists unknown names, each with what it may have been meant to be.
func guessed(unknown, known []string) string {
	slices.Sort(unknown)
	for i, name := range unknown {
		if near := nearest(name, known); len(near) > 0 {
			unknown[i] += " (is it " + strings.Join(near, " or ") + "?)"
		}
	}
	return strings.Join(unknown, ", ")
}

// nearest returns the few known names that name may stand for: those that it ends, else
// those that the fewest letters make of it, if they are few.
func nearest(name string, known []string) []string {
	const most = 3
	short := strings.TrimPrefix(strings.ToLower(name), strings.ToLower(envPrefix+"_"))
	best := 1 + max(1, len(short)/4)
	var near []string
	for _, candidate := range known {
		of := strings.TrimPrefix(strings.ToLower(candidate), strings.ToLower(envPrefix+"_"))
		d := rulefile.Distance(short, of)
		if short != "" && (strings.HasSuffix(of, "_"+short) || strings.HasSuffix(of, "."+short)) {
			d = 0
		}
		switch c := cmp.Compare(d, best); {
		case c < 0:
			near, best = []string{candidate}, d
		case c == 0 && len(near) > 0 && len(near) < most:
			near = append(near, candidate)
		}
	}
	return near
}
