package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

type sample struct {
	Name   string        `koanf:"name" usage:"a name"`
	Max    int           `koanf:"max-count" usage:"a number"`
	Wait   time.Duration `koanf:"wait" usage:"a time"`
	Strict bool          `koanf:"strict" usage:"a switch"`
	List   []string      `koanf:"list" usage:"a list"`
	hidden string
}

func defaults() sample {
	return sample{Name: "default", Max: 1, Wait: time.Second, List: []string{"a"}, hidden: "x"}
}

func load(t *testing.T, file string, args ...string) (sample, error) {
	t.Helper()
	cfg := defaults()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(flags, &cfg)
	require.NoError(t, flags.Parse(args))
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	}
	err := Load(flags, path, &cfg)
	return cfg, err
}

func TestLoadTakesTheStrongestSource(t *testing.T) {
	file := "name: file\nmax-count: 2\nwait: 2s\nlist: [b, c]\n"
	for _, c := range []struct {
		name string
		env  map[string]string
		file string
		args []string
		want sample
	}{
		{"defaults", nil, "", nil, defaults()},
		{"file", nil, file, nil, sample{"file", 2, 2 * time.Second, false, []string{"b", "c"}, "x"}},
		{"environment over file", map[string]string{"GOWHISK_MAX_COUNT": "3", "GOWHISK_STRICT": "true"}, file, nil,
			sample{"file", 3, 2 * time.Second, true, []string{"b", "c"}, "x"}},
		{"flags over all", map[string]string{"GOWHISK_MAX_COUNT": "3"}, file, []string{"--max-count=4", "--wait=4s", "--list=d,e"},
			sample{"file", 4, 4 * time.Second, false, []string{"d", "e"}, "x"}},
		{"a flag that repeats the default still counts", nil, file, []string{"--name=default"},
			sample{"default", 2, 2 * time.Second, false, []string{"b", "c"}, "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			got, err := load(t, c.file, c.args...)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestLoadNamesWhatIsWrong(t *testing.T) {
	_, err := load(t, "nmae: x\n")
	require.ErrorContains(t, err, `there is no key "nmae"`)
	_, err = load(t, "a: [\n")
	require.ErrorContains(t, err, "reading the configuration file")
	t.Setenv("GOWHISK_WAIT", "soon")
	_, err = load(t, "")
	require.ErrorContains(t, err, "'wait'")
}

func TestPrintGivesTheFileThatGivesTheConfiguration(t *testing.T) {
	cfg := defaults()
	cfg.Wait, cfg.List = 90*time.Second, []string{"x", "y"}
	var b strings.Builder
	require.NoError(t, Print(&b, &cfg))
	got, err := load(t, b.String())
	require.NoError(t, err)
	require.Equal(t, cfg, got)
}

func TestPartsOfAConfiguration(t *testing.T) {
	type part struct {
		Address string `koanf:"part-address" usage:"an address"`
	}
	type whole struct {
		Name string `koanf:"name" usage:"a name"`
		Part part   `koanf:",squash"`
	}
	cfg := whole{Name: "a", Part: part{Address: "default"}}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(flags, &cfg)
	require.NoError(t, flags.Parse([]string{"--name=b"}))
	t.Setenv("GOWHISK_PART_ADDRESS", "elsewhere")
	require.NoError(t, Load(flags, "", &cfg))
	require.Equal(t, whole{Name: "b", Part: part{Address: "elsewhere"}}, cfg)
	var b strings.Builder
	require.NoError(t, Print(&b, &cfg))
	require.Equal(t, "name: b\npart-address: elsewhere\n", b.String())
}
