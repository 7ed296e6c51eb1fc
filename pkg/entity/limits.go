package entity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// ActionLimits are the limits of one action (openwhisk-rest-api.md 5.3).
type ActionLimits struct {
	// Timeout bounds init and run, each, in milliseconds.
	Timeout int64
	Memory  Megabytes
	// Logs bounds the logs kept of one activation.
	Logs Megabytes
	// Concurrency is how many activations may share a container at once.
	Concurrency int
	// Instances bounds the containers of the action; nil is no bound.
	Instances *int
}

// AppendJSON appends the full limits object.
func (l ActionLimits) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"timeout":`...)
	dst = strconv.AppendInt(dst, l.Timeout, 10)
	dst = append(dst, `,"memory":`...)
	dst = strconv.AppendInt(dst, int64(l.Memory), 10)
	dst = append(dst, `,"logs":`...)
	dst = strconv.AppendInt(dst, int64(l.Logs), 10)
	dst = append(dst, `,"concurrency":`...)
	dst = strconv.AppendInt(dst, int64(l.Concurrency), 10)
	if l.Instances != nil {
		dst = append(dst, `,"instances":`...)
		dst = strconv.AppendInt(dst, int64(*l.Instances), 10)
	}
	return append(dst, '}')
}

// MarshalJSON writes the full limits object.
func (l ActionLimits) MarshalJSON() ([]byte, error) { return l.AppendJSON(nil), nil }

// LimitsPatch are the limits that a request names; nil fields were absent.
type LimitsPatch struct {
	Timeout     *int64
	Memory      *Megabytes
	Logs        *Megabytes
	Concurrency *int
	Instances   *int
}

// Apply returns l with the fields that p names replaced.
func (p *LimitsPatch) Apply(l ActionLimits) ActionLimits {
	if p == nil {
		return l
	}
	if p.Timeout != nil {
		l.Timeout = *p.Timeout
	}
	if p.Memory != nil {
		l.Memory = *p.Memory
	}
	if p.Logs != nil {
		l.Logs = *p.Logs
	}
	if p.Concurrency != nil {
		l.Concurrency = *p.Concurrency
	}
	if p.Instances != nil {
		l.Instances = p.Instances
	}
	return l
}

// PatchOf names every field of l.
func PatchOf(l ActionLimits) *LimitsPatch {
	return &LimitsPatch{Timeout: &l.Timeout, Memory: &l.Memory, Logs: &l.Logs, Concurrency: &l.Concurrency, Instances: l.Instances}
}

// UnmarshalJSON reads a limits object of a request; errors are *MalformedError.
func (p *LimitsPatch) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil || fields == nil {
		return &MalformedError{"limits malformed"}
	}
	var q LimitsPatch
	for _, f := range []struct {
		key, name string
		set       func(int64)
	}{
		{"memory", "memory limit", func(n int64) { m := Megabytes(n); q.Memory = &m }},
		{"timeout", "time limit", func(n int64) { q.Timeout = &n }},
		{"logs", "log limit", func(n int64) { m := Megabytes(n); q.Logs = &m }},
		{"concurrency", "intra concurrency limit", func(n int64) { c := int(n); q.Concurrency = &c }},
		{"instances", "instance concurrency limit", func(n int64) { c := int(n); q.Instances = &c }},
	} {
		raw, ok := fields[f.key]
		if !ok || string(bytes.TrimSpace(raw)) == "null" {
			continue
		}
		n, err := parseWhole(raw, f.name)
		if err != nil {
			return err
		}
		f.set(n)
	}
	*p = q
	return nil
}

func parseWhole(raw json.RawMessage, name string) (int64, error) {
	var number json.Number
	if raw[0] == '"' || json.Unmarshal(raw, &number) != nil {
		return 0, &MalformedError{name + " malformed"}
	}
	if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
		return n, nil
	}
	// 1.0 and 6e4 are whole too.
	if f, err := number.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return 0, &MalformedError{"requirement failed: " + name + " must be whole number"}
}

// Range is a minimum, a default and a maximum.
type Range[T ~int | ~int64] struct{ Min, Std, Max T }

// Clamp returns r narrowed to the given bounds; a bound outside of r changes
// nothing, for a namespace never widens what the system allows.
func (r Range[T]) Clamp(lower, upper *T) Range[T] {
	if lower != nil {
		r.Min = min(max(r.Min, *lower), r.Max)
	}
	if upper != nil {
		r.Max = max(min(r.Max, *upper), r.Min)
	}
	return r
}

// LimitRanges are the thresholds that action limits are checked against: the
// system's, or those of a namespace.
type LimitRanges struct {
	Timeout     Range[int64] // milliseconds
	Memory      Range[Megabytes]
	Logs        Range[Megabytes]
	Concurrency Range[int]
}

// DefaultLimitRanges are OpenWhisk's (openwhisk-rest-api.md section 26).
func DefaultLimitRanges() LimitRanges {
	return LimitRanges{
		Timeout:     Range[int64]{100, 60_000, 300_000},
		Memory:      Range[Megabytes]{128, 256, 512},
		Logs:        Range[Megabytes]{0, 10, 10},
		Concurrency: Range[int]{1, 1, 1},
	}
}

// Std returns the default limits of an action.
func (r LimitRanges) Std() ActionLimits {
	return ActionLimits{Timeout: r.Timeout.Std, Memory: r.Memory.Std, Logs: r.Logs.Std, Concurrency: r.Concurrency.Std}
}

// LimitError is a limit outside its thresholds. Its text goes to the client.
type LimitError struct{ Text string }

func (e *LimitError) Error() string { return e.Text }

// Check returns a *LimitError for the first limit in p that is outside r, in
// the contract's order: memory, timeout, logs, concurrency; then instances.
func (r LimitRanges) Check(p *LimitsPatch) error {
	if p == nil {
		return nil
	}
	if p.Memory != nil {
		if err := checkRange(*p.Memory, r.Memory, "memory size %d MB", "%d MB"); err != nil {
			return err
		}
	}
	if p.Timeout != nil {
		if err := checkRange(*p.Timeout, r.Timeout, "duration %d milliseconds", "%d milliseconds"); err != nil {
			return err
		}
	}
	if p.Logs != nil {
		if err := checkRange(*p.Logs, r.Logs, "log size %d MB", "%d MB"); err != nil {
			return err
		}
	}
	if p.Concurrency != nil {
		if err := checkRange(*p.Concurrency, r.Concurrency, "concurrency %d", "%d"); err != nil {
			return err
		}
	}
	if p.Instances != nil && *p.Instances < 0 {
		return &LimitError{fmt.Sprintf("requirement failed: instance concurrency %d below allowed threshold of 0", *p.Instances)}
	}
	return nil
}

func checkRange[T ~int | ~int64](v T, r Range[T], what, unit string) error {
	switch {
	case v > r.Max:
		return &LimitError{fmt.Sprintf("requirement failed: "+what+" exceeds allowed threshold of "+unit, v, r.Max)}
	case v < r.Min:
		return &LimitError{fmt.Sprintf("requirement failed: "+what+" below allowed threshold of "+unit, v, r.Min)}
	}
	return nil
}
