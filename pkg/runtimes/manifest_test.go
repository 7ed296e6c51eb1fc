package runtimes

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// contractExample is the document of openwhisk-invoker.md section 8, with a
// second family that has no default of its own.
const contractExample = `{"runtimes":{"nodejs":[{"kind":"nodejs:20","default":true,"deprecated":false,
    "image":{"registry":"r.io","prefix":"openwhisk","name":"action-nodejs-v20","tag":"nightly"},
    "attached":{"attachmentName":"codefile","attachmentType":"text/plain"},
    "requireMain":false,"sentinelledLogs":true,
    "stemCells":[{"initialCount":2,"memory":"256 MB",
       "reactive":{"minCount":1,"maxCount":4,"ttl":"2 minutes","threshold":1,"increment":1}}]},
   {"kind":"nodejs:18","deprecated":true,"image":{"name":"action-nodejs-v18"}}],
  "java":[{"kind":"java:8","image":{"name":"java8action"},"requireMain":true,"sentinelledLogs":false,
    "stemCells":[{"count":1,"memory":"1g"}]}]},
 "blackboxes":[{"prefix":"openwhisk","name":"dockerskeleton","tag":"nightly"},{"name":"mine"}]}`

func parse(t *testing.T, text string) *Manifest {
	t.Helper()
	m, err := Parse([]byte(text))
	require.NoError(t, err)
	return m
}

func resolve(t *testing.T, m *Manifest, kind string) Runtime {
	t.Helper()
	r, err := m.Resolve(kind)
	require.NoError(t, err)
	return r
}

func TestParse(t *testing.T) {
	m := parse(t, contractExample)

	node := resolve(t, m, "nodejs:20")
	require.Equal(t, Runtime{
		Family: "nodejs", Kind: "nodejs:20", Default: true, Attached: true, SentinelledLogs: true,
		Image: entity.Image{Registry: "r.io", Prefix: "openwhisk", Name: "action-nodejs-v20", Tag: "nightly"},
		StemCells: []StemCell{{InitialCount: 2, Memory: 256, Reactive: &Reactive{
			MinCount: 1, MaxCount: 4, TTL: 2 * time.Minute, Threshold: 1, Increment: 1,
		}}},
	}, node)
	require.NoError(t, node.CheckNotDeprecated())

	old := resolve(t, m, "nodejs:18")
	require.False(t, old.Attached)
	require.True(t, old.SentinelledLogs, "sentinelled logs are the default")
	require.EqualError(t, old.CheckNotDeprecated(),
		"The 'nodejs:18' runtime is no longer supported. You may read and delete but not update or invoke this action.")

	java := resolve(t, m, "java:8")
	require.True(t, java.Default, "the only version of a family is its default")
	require.True(t, java.RequireMain)
	require.False(t, java.SentinelledLogs)
	require.Equal(t, []StemCell{{InitialCount: 1, Memory: 1024}}, java.StemCells, "count is an older name of initialCount")

	require.Len(t, m.Runtimes(), 3)
	require.Len(t, m.Blackboxes(), 2)
}

func TestResolve(t *testing.T) {
	m := parse(t, contractExample)
	for _, kind := range []string{"nodejs:20", " NodeJS:20\n", "nodejs:default", "NODEJS:Default "} {
		require.Equal(t, "nodejs:20", resolve(t, m, kind).Kind, kind)
	}
	for _, kind := range []string{"foobar", "FooBar", "nodejs", "nodejs:", ":default", "ruby:default", "", Sequence, Blackbox} {
		_, err := m.Resolve(kind)
		var unknown *UnknownKindError
		require.ErrorAs(t, err, &unknown, kind)
	}
	_, err := m.Resolve("foobar")
	require.EqualError(t, err, "The specified runtime 'foobar' is not supported by this platform. "+
		"Valid values are: 'blackbox', 'java:8', 'nodejs:18', 'nodejs:20', 'sequence'.")
}

func TestFaultsSayWhatAndWhere(t *testing.T) {
	version := func(members string) string {
		return `{"runtimes":{"nodejs":[{"kind":"nodejs:20","image":{"name":"n"},` + members + `}]}}`
	}
	cell := func(members string) string { return version(`"stemCells":[{` + members + `}]`) }
	reactive := func(members string) string {
		return cell(`"initialCount":1,"memory":"256 MB","reactive":{` + members + `}`)
	}
	for name, test := range map[string]struct{ text, want string }{
		"not_json":        {"{\n \"runtimes\": oops}", "line 2, column 14: invalid character 'o'"},
		"wrong_type":      {"{\"runtimes\":\n[]}", "line 2, column 1: runtimes cannot be a JSON array"},
		"nothing":         {`{}`, "runtimes must name at least one family of runtimes"},
		"empty_family":    {`{"runtimes":{"go":[]}}`, "runtimes.go must list at least one version"},
		"no_kind":         {`{"runtimes":{"go":[{"image":{"name":"n"}}]}}`, "runtimes.go[0].kind is missing"},
		"upper_case_kind": {`{"runtimes":{"go":[{"kind":"Go:1","image":{"name":"n"}}]}}`, `runtimes.go[0].kind "Go:1" is not a kind`},
		"reserved_kind":   {`{"runtimes":{"go":[{"kind":"blackbox","image":{"name":"n"}}]}}`, `"blackbox" is already taken by the platform`},
		"default_kind":    {`{"runtimes":{"go":[{"kind":"go:default","image":{"name":"n"}}]}}`, `"go:default" is kept for the default of a family`},
		"no_image":        {`{"runtimes":{"go":[{"kind":"go:1"}]}}`, `runtimes.go[0].image is missing`},
		"no_image_name":   {`{"runtimes":{"go":[{"kind":"go:1","image":{"tag":"x"}}]}}`, `runtimes.go[0].image.name is missing`},
		"bad_image":       {`{"runtimes":{"go":[{"kind":"go:1","image":{"name":"N N"}}]}}`, `runtimes.go[0].image is not usable: "N N" is not an image`},
		"same_kind_twice": {
			`{"runtimes":{"a":[{"kind":"go:1","image":{"name":"n"}}],"b":[{"kind":"go:1","image":{"name":"n"}}]}}`,
			`runtimes.b[0].kind "go:1" is already taken by runtimes.a[0].kind`,
		},
		"no_default": {
			`{"runtimes":{"a":[{"kind":"a:1","image":{"name":"n"}},{"kind":"a:2","image":{"name":"n"}}]}}`,
			`runtimes.a must have exactly one version with "default": true, not 0`,
		},
		"two_defaults": {
			`{"runtimes":{"a":[{"kind":"a:1","default":true,"image":{"name":"n"}},{"kind":"a:2","default":true,"image":{"name":"n"}}]}}`,
			`runtimes.a must have exactly one version with "default": true, not 2`,
		},
		"no_blackbox_name":   {version(`"default":true`)[:len(version(`"default":true`))-1] + `,"blackboxes":[{}]}`, "blackboxes[0].name is missing"},
		"no_count":           {cell(`"memory":"256 MB"`), "runtimes.nodejs[0].stemCells[0].initialCount is missing"},
		"zero_count":         {cell(`"initialCount":0,"memory":"256 MB"`), "runtimes.nodejs[0].stemCells[0] initialCount must be greater than 0, not 0"},
		"no_memory":          {cell(`"initialCount":1`), "runtimes.nodejs[0].stemCells[0].memory is missing"},
		"bad_memory":         {cell(`"initialCount":1,"memory":"256 XB"`), `stemCells[0].memory "256 XB" is not a size`},
		"part_of_a_megabyte": {cell(`"initialCount":1,"memory":"256 KB"`), `"256 KB" is not a whole number of megabytes`},
		"reactive_missing":   {reactive(`"minCount":1,"maxCount":4,"threshold":1`), "reactive.increment is missing"},
		"no_ttl":             {reactive(`"minCount":1,"maxCount":4,"threshold":1,"increment":1`), "reactive.ttl is missing"},
		"bad_ttl":            {reactive(`"minCount":1,"maxCount":4,"threshold":1,"increment":1,"ttl":"2 fortnights"`), `reactive.ttl "2 fortnights" is not a duration`},
		"zero_ttl":           {reactive(`"minCount":1,"maxCount":4,"threshold":1,"increment":1,"ttl":"0 s"`), "reactive.ttl must be greater than 0"},
		"min_over_max":       {reactive(`"minCount":5,"maxCount":4,"threshold":1,"increment":1,"ttl":"1 s"`), "reactive.minCount must be between 0 and maxCount (4), not 5"},
		"zero_max":           {reactive(`"minCount":0,"maxCount":0,"threshold":1,"increment":1,"ttl":"1 s"`), "reactive.maxCount must be greater than 0"},
		"zero_threshold":     {reactive(`"minCount":0,"maxCount":4,"threshold":0,"increment":1,"ttl":"1 s"`), "reactive.threshold must be greater than 0"},
		"increment_over_max": {reactive(`"minCount":0,"maxCount":4,"threshold":1,"increment":5,"ttl":"1 s"`), "reactive.increment must be between 1 and maxCount (4), not 5"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	_, err := Parse([]byte(`{"runtimes":{"go":[{"kind":"GO"},{"image":{"name":"n"}}]}}`))
	for _, want := range []string{"runtimes.go[0].kind", "runtimes.go[0].image", "runtimes.go[1].kind", "exactly one version"} {
		require.ErrorContains(t, err, want)
	}
}

func TestDefaultManifest(t *testing.T) {
	m := Default()
	for kind, want := range map[string]string{
		"nodejs:default": "nodejs:20", "python:default": "python:3.11", "java:default": "java:17",
		"php:default": "php:8.2", "ruby:default": "ruby:3.1", "go:default": "go:1.26", "swift:default": "swift:5.3",
		"dotnet:default": "dotnet:3.1", "rust:default": "rust:1.34", "native:default": "native:1", "shell:default": "shell:1",
	} {
		require.Equal(t, want, resolve(t, m, kind).Kind)
	}
	for _, kind := range []string{"nodejs:18", "nodejs:22", "nodejs:24", "python:3.9", "python:3.14", "dotnet:6.0", "swift:5.7",
		"java:8", "php:8.1", "ruby:2.5", "go:1.20", "rust:1.34"} {
		require.Equal(t, kind, resolve(t, m, kind).Kind)
	}
	for _, r := range m.Runtimes() {
		require.Equal(t, r.Family == "java" || r.Family == "dotnet", r.RequireMain, r.Kind)
		require.True(t, r.Attached, r.Kind)
		require.Equal(t, r.Kind == "nodejs:20", len(r.StemCells) > 0, r.Kind)
	}
	require.Equal(t, "gowhisk/action-nodejs-v20:1", resolve(t, m, "nodejs:20").Image.String())
	require.True(t, m.IsManagedImage(entity.Image{Prefix: "gowhisk", Name: "dockerskeleton", Tag: "1"}))
	require.True(t, m.IsManagedImage(entity.Image{Prefix: "openwhisk", Name: "dockerskeleton", Tag: "nightly"}))
	require.False(t, m.IsManagedImage(entity.Image{Prefix: "openwhisk", Name: "dockerskeleton"}))
}

// An operator's file that names the official images loads, and clients are shown
// these images.
func TestOfficialImages(t *testing.T) {
	m, err := Load("testdata/official.json")
	require.NoError(t, err)
	listed := map[string]string{}
	for _, versions := range m.Published() {
		for _, v := range versions {
			listed[v.Kind] = v.Image
		}
	}
	require.Equal(t, map[string]string{
		"nodejs:18": "openwhisk/action-nodejs-v18:nightly", "nodejs:20": "openwhisk/action-nodejs-v20:nightly",
		"python:3.10": "openwhisk/action-python-v3.10:nightly", "python:3.11": "openwhisk/action-python-v3.11:nightly",
		"swift:5.3": "openwhisk/action-swift-v5.3:nightly", "swift:5.7": "openwhisk/action-swift-v5.7:nightly",
		"java:8": "openwhisk/java8action:nightly", "php:8.1": "openwhisk/action-php-v8.1:nightly",
		"ruby:2.5": "openwhisk/action-ruby-v2.5:nightly", "go:1.20": "openwhisk/action-golang-v1.20:nightly",
		"dotnet:3.1": "openwhisk/action-dotnet-v3.1:nightly", "dotnet:6.0": "openwhisk/action-dotnet-v6.0:nightly",
		"rust:1.34": "openwhisk/action-rust-v1.34:nightly",
	}, listed)
	require.Equal(t, 2, resolve(t, m, "nodejs:default").StemCells[0].InitialCount)
	require.True(t, resolve(t, m, "java:8").RequireMain)
	require.True(t, m.IsManagedImage(entity.Image{Prefix: "openwhisk", Name: "dockerskeleton", Tag: "nightly"}))
}

func TestCopies(t *testing.T) {
	m := Default()
	changed, err := m.WithDefault("nodejs:22")
	require.NoError(t, err)
	require.Equal(t, "nodejs:22", resolve(t, changed, "nodejs:default").Kind)
	require.False(t, resolve(t, changed, "nodejs:20").Default)
	require.Equal(t, "python:3.11", resolve(t, changed, "python:default").Kind, "other families keep theirs")
	require.Equal(t, "nodejs:20", resolve(t, m, "nodejs:default").Kind, "the original is unchanged")

	changed, err = m.WithoutStemCells().WithStemCells("python:default", StemCell{InitialCount: 1, Memory: 128})
	require.NoError(t, err)
	require.Equal(t, []StemCell{{InitialCount: 1, Memory: 128}}, resolve(t, changed, "python:3.11").StemCells)
	require.Empty(t, resolve(t, changed, "nodejs:20").StemCells)
	require.NotEmpty(t, resolve(t, m, "nodejs:20").StemCells)

	_, err = m.WithDefault("cobol:1")
	var unknown *UnknownKindError
	require.ErrorAs(t, err, &unknown)
	_, err = m.WithStemCells("nodejs:20", StemCell{Memory: 128})
	require.EqualError(t, err, "stem cell 0 of nodejs:20: initialCount must be greater than 0, not 0")
}

func TestPublishedHasExactlySixMembers(t *testing.T) {
	text, err := json.Marshal(Default().Published())
	require.NoError(t, err)
	var families map[string][]map[string]any
	require.NoError(t, json.Unmarshal(text, &families))
	require.Equal(t, map[string]any{
		"kind": "nodejs:20", "image": "gowhisk/action-nodejs-v20:1",
		"deprecated": false, "default": true, "attached": true, "requireMain": false,
	}, families["nodejs"][1])
	for _, versions := range families {
		for _, v := range versions {
			require.Len(t, v, 6)
		}
	}
}

func TestManagedImages(t *testing.T) {
	m := parse(t, contractExample)
	require.True(t, m.IsManagedImage(entity.Image{Name: "mine", Tag: "latest"}), "a missing tag equals latest")
	require.False(t, m.IsManagedImage(entity.Image{Name: "mine", Digest: "sha256:0123456789abcdef0123456789abcdef"}))
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2 minutes": 2 * time.Minute, "1 minute": time.Minute, "10 s": 10 * time.Second, "500 ms": 500 * time.Millisecond,
		"1 hour": time.Hour, "2days": 48 * time.Hour, "2m30s": 150 * time.Second, "5 millis": 5 * time.Millisecond,
	} {
		got, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "2", "minutes", "-2 minutes", "2 eons", "9999999999999999999 s", "999999999999 days"} {
		_, err := parseDuration(text)
		require.Error(t, err, text)
	}
	for _, text := range []string{"256 MB", "256m", "256MB", "268435456 B", "262144 k"} {
		got, err := parseMemory(text)
		require.NoError(t, err, text)
		require.EqualValues(t, 256, got, text)
	}
	for _, text := range []string{"", "256", "0 MB", "1.5 GB", "-1 MB", "9999999999999 GB"} {
		_, err := parseMemory(text)
		require.Error(t, err, text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(contractExample))
	f.Add([]byte(`{"runtimes":{"go":[{"kind":"go:1","image":{"name":"n"},"stemCells":[{"count":1,"memory":"1 GB"}]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		for _, r := range m.Runtimes() {
			got, err := m.Resolve(r.Kind)
			if err != nil || got.Kind != r.Kind {
				t.Fatalf("kind %q resolves to %q, %v", r.Kind, got.Kind, err)
			}
			if !slices.Contains(m.Kinds(), r.Kind) {
				t.Fatalf("kind %q is not listed", r.Kind)
			}
		}
	})
}
