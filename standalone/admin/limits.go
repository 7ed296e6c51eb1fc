package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// limitFields are the names of the fields of a limits document, which are also
// the flags of "limits set".
func limitFields() []string {
	t := reflect.TypeFor[entity.UserLimits]()
	var out []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
	}
	return out
}

func limitsSet(open Open) *cobra.Command {
	values := map[string]*string{}
	cmd := &cobra.Command{
		Use:     "set NAMESPACE --FIELD VALUE ...",
		Short:   "Set limits of a namespace; fields that are not given stay as they are",
		Example: "  gowhisk admin limits set guest --invocationsPerMinute 1000 --maxActionMemory 512 --allowedKinds nodejs:20,python:3.11",
		// wskadmin takes kinds as so many words: those behind the first end up here.
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("allowedKinds") {
				return cobra.MinimumNArgs(1)(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			if len(args) > 1 {
				*values["allowedKinds"] += "," + strings.Join(args[1:], ",")
			}
			if _, err := entity.ParseNamespace(args[0]); err != nil {
				return err
			}
			limits, err := subjects.Limits(ctx, args[0])
			if errors.Is(err, store.ErrNotFound) {
				limits, err = &entity.UserLimits{}, nil
			}
			if err != nil {
				return err
			}
			changed := false
			for _, name := range limitFields() {
				if !cmd.Flags().Changed(name) {
					continue
				}
				changed = true
				if err := setLimit(limits, name, *values[name]); err != nil {
					return err
				}
			}
			if !changed {
				return failf("No limit given; see --help for their names")
			}
			if err := subjects.PutLimits(ctx, args[0], limits); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Limits successfully set for %q\n", args[0])
			return nil
		}),
	}
	for _, name := range limitFields() {
		values[name] = cmd.Flags().String(name, "", limitUsage[name])
	}
	return cmd
}

// limitUsage is one line of help for each field.
var limitUsage = map[string]string{
	"invocationsPerMinute":          "invocations per calendar minute; 0 blocks the namespace",
	"concurrentInvocations":         "invocations under way at once; 0 blocks the namespace",
	"firesPerMinute":                "trigger fires per calendar minute",
	"allowedKinds":                  "kinds that actions may have, separated by commas",
	"storeActivations":              "whether activation records are kept (true or false)",
	"minActionMemory":               "least memory of an action, in MB",
	"maxActionMemory":               "most memory of an action, in MB",
	"minActionLogs":                 "least log limit of an action, in MB",
	"maxActionLogs":                 "most log limit of an action, in MB",
	"minActionTimeout":              "shortest time limit of an action, in milliseconds",
	"maxActionTimeout":              "longest time limit of an action, in milliseconds",
	"minActionConcurrency":          "least concurrency of an action",
	"maxActionConcurrency":          "most concurrency of an action",
	"maxParameterSize":              "most bytes of parameters, such as \"1 MB\"",
	"maxPayloadSize":                "most bytes of a payload or result, such as \"1 MB\"",
	"truncationSize":                "bytes that are quoted of a longer result, such as \"1 MB\"",
	"warmedContainerKeepingCount":   "containers of an action that stay warm",
	"warmedContainerKeepingTimeout": "how long they stay warm, such as \"10 minutes\"",
}

// setLimit sets one field from its text by way of its JSON form.
func setLimit(l *entity.UserLimits, name, text string) error {
	raw := text
	switch name {
	case "allowedKinds":
		var kinds []string
		for kind := range strings.SplitSeq(text, ",") {
			if kind = strings.TrimSpace(kind); kind != "" {
				kinds = append(kinds, kind)
			}
		}
		raw = string(entity.AppendStrings(nil, kinds))
	case "maxParameterSize", "maxPayloadSize", "truncationSize", "warmedContainerKeepingTimeout":
		raw = strconv.Quote(text)
	case "storeActivations":
		switch strings.ToLower(text) {
		case "true", "yes":
			raw = "true"
		case "false", "no":
			raw = "false"
		default:
			return fmt.Errorf("--%s: %q is not true or false", name, text)
		}
	default:
		if n, err := strconv.Atoi(text); err != nil || n < 0 {
			return fmt.Errorf("--%s: %q is not a whole number of at least 0", name, text)
		}
	}
	if err := json.Unmarshal([]byte(`{"`+name+`":`+raw+`}`), l); err != nil {
		return fmt.Errorf("--%s: %w", name, err)
	}
	return nil
}

func limitsGet(open Open) *cobra.Command {
	return &cobra.Command{
		Use:   "get NAMESPACE",
		Short: "Print the limits that a namespace has of its own",
		Args:  cobra.ExactArgs(1),
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			limits, err := subjects.Limits(ctx, args[0])
			if errors.Is(err, store.ErrNotFound) {
				fmt.Fprintln(cmd.OutOrStdout(), "No limits found, default system limits apply")
				return nil
			}
			if err != nil {
				return err
			}
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(limits.AppendJSON(nil), &fields); err != nil {
				return err
			}
			for _, name := range limitFields() {
				if raw, ok := fields[name]; ok {
					fmt.Fprintf(cmd.OutOrStdout(), "%s = %s\n", name, limitText(raw))
				}
			}
			return nil
		}),
	}
}

// limitText is a value as "limits set" takes it.
func limitText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		slices.Sort(list)
		return strings.Join(list, ",")
	}
	return string(raw)
}

func limitsDelete(open Open) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAMESPACE",
		Short: "Delete the limits that a namespace has of its own",
		Args:  cobra.ExactArgs(1),
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			err := subjects.DeleteLimits(ctx, args[0])
			if errors.Is(err, store.ErrNotFound) {
				return failf("No limits found for %q", args[0])
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "Limits deleted")
			return nil
		}),
	}
}
