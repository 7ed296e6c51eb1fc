// Package config fills a service's typed configuration from, strongest first:
// command-line flags, environment variables, a YAML file, and the defaults that
// the struct holds. One struct is the source of the flags, of --print-config and
// of the table in docs/configuration.md.
//
// A configuration is a struct whose exported fields carry the tags `koanf` (the
// key, also the flag's name) and `usage` (one sentence). The variable of a key is
// the prefix and the key in upper case, with "-" as "_": GOWHISK_DATA_DIR.
package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// EnvPrefix begins every environment variable that is read.
const EnvPrefix = "GOWHISK_"

// Option is one configuration key.
type Option struct {
	Key, Usage string
	// Default as a flag shows it.
	Default string
	value   reflect.Value
}

// Variable is the option's environment variable.
func (o Option) Variable() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(o.Key, "-", "_"))
}

// Options lists the keys of the configuration that cfg points to, in the order of
// its fields. Those of a field with the tag `koanf:",squash"` count as its own.
func Options(cfg any) []Option { return options(reflect.ValueOf(cfg).Elem()) }

func options(v reflect.Value) []Option {
	var out []Option
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("koanf")
		switch key {
		case "":
		case ",squash":
			out = append(out, options(v.Field(i))...)
		default:
			out = append(out, Option{Key: key, Usage: f.Tag.Get("usage"), Default: display(v.Field(i)), value: v.Field(i)})
		}
	}
	return out
}

func display(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}

// Flags defines a flag for each key of cfg; its default is the field's value.
func Flags(flags *pflag.FlagSet, cfg any) {
	for _, o := range Options(cfg) {
		switch v := o.value.Interface().(type) {
		case string:
			flags.String(o.Key, v, o.Usage)
		case bool:
			flags.Bool(o.Key, v, o.Usage)
		case int:
			flags.Int(o.Key, v, o.Usage)
		case int64:
			flags.Int64(o.Key, v, o.Usage)
		case float64:
			flags.Float64(o.Key, v, o.Usage)
		case time.Duration:
			flags.Duration(o.Key, v, o.Usage)
		case []string:
			flags.StringSlice(o.Key, v, o.Usage)
		default:
			if o.value.Kind() == reflect.String { // a type of its own, such as an enumeration
				flags.String(o.Key, o.value.String(), o.Usage)
				continue
			}
			panic(fmt.Sprintf("config: key %s has the unsupported type %T", o.Key, v))
		}
	}
}

// Load fills cfg. path names a YAML file, "" for none. Unknown keys in the file
// are an error, so that a misspelling does not pass for a default.
func Load(flags *pflag.FlagSet, path string, cfg any) error {
	known := map[string]bool{}
	for _, o := range Options(cfg) {
		known[o.Key] = true
	}
	k := koanf.New(".")
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return fmt.Errorf("reading the configuration file: %w", err)
		}
		for _, key := range k.Keys() {
			if !known[key] {
				return fmt.Errorf("configuration file %s: there is no key %q (see --print-config for all keys)", path, key)
			}
		}
	}
	transform := func(name, value string) (string, any) {
		key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, EnvPrefix), "_", "-"))
		if !known[key] {
			return "", nil
		}
		return key, value
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: EnvPrefix, TransformFunc: transform}), nil); err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	// posflag takes defaults of flags only for keys that nothing else set.
	if err := k.Load(posflag.Provider(flags, ".", k), nil); err != nil {
		return fmt.Errorf("reading the flags: %w", err)
	}
	if err := k.Unmarshal("", cfg); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// Print writes the configuration as the YAML file that would give it.
func Print(w io.Writer, cfg any) error {
	k := koanf.New(".")
	for _, o := range Options(cfg) {
		value := o.value.Interface()
		if d, ok := value.(time.Duration); ok {
			value = d.String()
		} else if o.value.Kind() == reflect.String {
			value = o.value.String()
		}
		if err := k.Set(o.Key, value); err != nil {
			return err
		}
	}
	data, err := k.Marshal(yaml.Parser())
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// Document writes the options as a Markdown table.
func Document(w io.Writer, cfg any) error {
	var b strings.Builder
	b.WriteString("| flag and key | environment | default | meaning |\n|---|---|---|---|\n")
	for _, o := range Options(cfg) {
		def := o.Default
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", o.Key, o.Variable(), def, o.Usage)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
