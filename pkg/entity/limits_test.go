package entity

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The texts of openwhisk-rest-api.md 5.3, in the order in which they are checked.
func TestLimitViolations(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", `{"memory":128,"timeout":100,"logs":0,"concurrency":1}`: "", `{"memory":512,"timeout":300000,"logs":10,"instances":0}`: "",
		`{"memory":1024}`:        "requirement failed: memory size 1024 MB exceeds allowed threshold of 512 MB",
		`{"memory":64}`:          "requirement failed: memory size 64 MB below allowed threshold of 128 MB",
		`{"logs":11}`:            "requirement failed: log size 11 MB exceeds allowed threshold of 10 MB",
		`{"logs":-1}`:            "requirement failed: log size -1 MB below allowed threshold of 0 MB",
		`{"timeout":300001}`:     "requirement failed: duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds",
		`{"timeout":99}`:         "requirement failed: duration 99 milliseconds below allowed threshold of 100 milliseconds",
		`{"concurrency":2}`:      "requirement failed: concurrency 2 exceeds allowed threshold of 1",
		`{"concurrency":0}`:      "requirement failed: concurrency 0 below allowed threshold of 1",
		`{"instances":-1}`:       "requirement failed: instance concurrency -1 below allowed threshold of 0",
		`{"memory":99999999999}`: "requirement failed: memory size 99999999999 MB exceeds allowed threshold of 512 MB",
		`{"concurrency":9,"logs":11,"timeout":1,"memory":1}`: "requirement failed: memory size 1 MB below allowed threshold of 128 MB",
		`{"concurrency":9,"logs":11,"timeout":1}`:            "requirement failed: duration 1 milliseconds below allowed threshold of 100 milliseconds",
		`{"concurrency":9,"logs":11}`:                        "requirement failed: log size 11 MB exceeds allowed threshold of 10 MB",
	} {
		var p LimitsPatch
		require.NoError(t, p.UnmarshalJSON([]byte(text)), text)
		err := DefaultLimitRanges().Check(&p)
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		var e *LimitError
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, want, e.Text, text)
	}
	require.NoError(t, DefaultLimitRanges().Check(nil))
}

func TestMalformedLimits(t *testing.T) {
	for text, want := range map[string]string{
		`{"timeout":1.5}`:         "requirement failed: time limit must be whole number",
		`{"memory":128.5}`:        "requirement failed: memory limit must be whole number",
		`{"logs":0.1}`:            "requirement failed: log limit must be whole number",
		`{"concurrency":1.01}`:    "requirement failed: intra concurrency limit must be whole number",
		`{"timeout":"60000"}`:     "time limit malformed",
		`{"memory":true}`:         "memory limit malformed",
		`{"logs":[]}`:             "log limit malformed",
		`{"concurrency":{}}`:      "intra concurrency limit malformed",
		`{"instances":"many"}`:    "instance concurrency limit malformed",
		`[]`:                      "limits malformed",
		`null`:                    "limits malformed",
		`{"timeout":1e999999999}`: "requirement failed: time limit must be whole number",
	} {
		var p LimitsPatch
		var e *MalformedError
		require.ErrorAs(t, p.UnmarshalJSON([]byte(text)), &e, text)
		require.Equal(t, want, e.Detail, text)
	}
}

func TestLimitsPatchReplacesWhatItNames(t *testing.T) {
	var p LimitsPatch
	require.NoError(t, json.Unmarshal([]byte(`{"timeout":5e3,"logs":null,"instances":3,"memory":256.0}`), &p))
	std := DefaultLimitRanges().Std()
	require.Equal(t, `{"timeout":5000,"memory":256,"logs":10,"concurrency":1,"instances":3}`, string(p.Apply(std).AppendJSON(nil)))
	require.Equal(t, std, (*LimitsPatch)(nil).Apply(std))
	l := ActionLimits{Timeout: 1, Memory: 2, Logs: 3, Concurrency: 4}
	require.Equal(t, l, PatchOf(l).Apply(std))
}

func TestNamespaceLimitsNeverWiden(t *testing.T) {
	mb := func(n Megabytes) *Megabytes { return &n }
	system := DefaultLimitRanges()
	for _, c := range []struct {
		min, max         *Megabytes
		wantMin, wantMax Megabytes
	}{
		{nil, nil, 128, 512}, {mb(64), mb(1024), 128, 512}, {mb(256), mb(300), 256, 300}, {mb(2000), nil, 512, 512}, {nil, mb(1), 128, 128},
	} {
		l := UserLimits{MinActionMemory: c.min, MaxActionMemory: c.max}
		r := l.Ranges(system)
		require.Equal(t, c.wantMin, r.Memory.Min)
		require.Equal(t, c.wantMax, r.Memory.Max)
		require.Equal(t, system.Timeout, r.Timeout)
	}
}

func TestByteSizes(t *testing.T) {
	for text, want := range map[string]ByteSize{"1 MB": 1 << 20, "512 K": 512 << 10, "1048576 B": 1 << 20, "2gb": 2 << 30, "7kb": 7 << 10, "3 G": 3 << 30, "0 B": 0, "1 m": 1 << 20} {
		got, err := ParseByteSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "1", "MB", "1.5 MB", "-1 MB", "1 TB", "1 MBB", "99999999999999 B"} {
		_, err := ParseByteSize(text)
		require.Error(t, err, text)
	}
	require.Equal(t, "1048576 B", ByteSize(1<<20).String())
	require.EqualValues(t, 3<<20, Megabytes(3).Bytes())
}

func TestUserLimitsDocument(t *testing.T) {
	const text = `{"invocationsPerMinute":0,"concurrentInvocations":30,"firesPerMinute":60,"allowedKinds":["nodejs:20"],"storeActivations":false,` +
		`"minActionMemory":128,"maxActionMemory":512,"minActionLogs":0,"maxActionLogs":10,"minActionTimeout":100,"maxActionTimeout":300000,` +
		`"minActionConcurrency":1,"maxActionConcurrency":1,"maxParameterSize":"1048576 B","maxPayloadSize":"2048 B","truncationSize":"1 B",` +
		`"warmedContainerKeepingCount":1,"warmedContainerKeepingTimeout":"10 minutes"}`
	var l UserLimits
	require.NoError(t, json.Unmarshal([]byte(text), &l))
	require.JSONEq(t, text, string(l.AppendJSON(nil)))
	require.True(t, l.IsBlacklisted())
	require.False(t, l.StoresActivations())
	require.Equal(t, `{}`, string(new(UserLimits).AppendJSON(nil)))
	require.False(t, new(UserLimits).IsBlacklisted())
	require.True(t, new(UserLimits).StoresActivations())
}

func TestAuthKeys(t *testing.T) {
	k := NewAuthKey()
	require.Len(t, k.Key, KeyLength)
	got, err := ParseAuthKey(k.String())
	require.NoError(t, err)
	require.Equal(t, k, got)
	require.NotEqual(t, k, NewAuthKey())
	for text, want := range map[string]string{
		"x:" + k.Key:                "authorization id is not a valid UUID",
		"":                          "authorization id is not a valid UUID",
		"{" + k.UUID + "}:" + k.Key: "authorization id is not a valid UUID",
		k.UUID:                      "authorization key must be at least 64 characters long",
		k.UUID + ":short":           "authorization key must be at least 64 characters long",
	} {
		_, err := ParseAuthKey(text)
		require.EqualError(t, err, want, text)
	}
}
