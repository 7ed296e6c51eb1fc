package runtimes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// The document, as OpenWhisk defines it. Pointers tell "missing" from "zero".
type (
	document struct {
		Runtimes   map[string][]runtimeEntry `json:"runtimes"`
		Blackboxes []entity.Image            `json:"blackboxes"`
	}
	runtimeEntry struct {
		Kind            *string         `json:"kind"`
		Default         bool            `json:"default"`
		Deprecated      bool            `json:"deprecated"`
		Image           *entity.Image   `json:"image"`
		Attached        json.RawMessage `json:"attached"`
		RequireMain     bool            `json:"requireMain"`
		SentinelledLogs *bool           `json:"sentinelledLogs"`
		StemCells       []stemCellEntry `json:"stemCells"`
	}
	stemCellEntry struct {
		InitialCount *int           `json:"initialCount"`
		Count        *int           `json:"count"` // an older name of initialCount
		Memory       *string        `json:"memory"`
		Reactive     *reactiveEntry `json:"reactive"`
	}
	reactiveEntry struct {
		MinCount  *int    `json:"minCount"`
		MaxCount  *int    `json:"maxCount"`
		TTL       *string `json:"ttl"`
		Threshold *int    `json:"threshold"`
		Increment *int    `json:"increment"`
	}
)

var validKind = regexp.MustCompile(`^[a-z0-9][a-z0-9.:_-]*$`)

// Parse reads a manifest. It reports everything that is wrong at once, each
// fault with its place in the document. Members it does not know are ignored, as
// OpenWhisk does.
func Parse(text []byte) (*Manifest, error) {
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("the runtimes manifest is not a valid document: %w", located(text, err))
	}
	p := parser{kinds: map[string]string{Sequence: "the platform", Blackbox: "the platform"}}
	if len(doc.Runtimes) == 0 {
		p.fault("runtimes", "must name at least one family of runtimes")
	}
	families := make(map[string][]Runtime, len(doc.Runtimes))
	for _, name := range sortedKeys(doc.Runtimes) {
		families[name] = p.family(name, doc.Runtimes[name])
	}
	for i, image := range doc.Blackboxes {
		p.image(fmt.Sprintf("blackboxes[%d]", i), image)
	}
	if len(p.faults) > 0 {
		return nil, fmt.Errorf("the runtimes manifest is not valid: %w", errors.Join(p.faults...))
	}
	return newManifest(families, doc.Blackboxes), nil
}

// located adds line and column to errors of encoding/json.
func located(text []byte, err error) error {
	var offset int64
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &mistyped):
		offset = mistyped.Offset
		err = fmt.Errorf("%s cannot be a JSON %s", mistyped.Field, mistyped.Value)
	default:
		return err
	}
	before := text[:min(max(offset, 0), int64(len(text)))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

// parser collects faults.
type parser struct {
	faults []error
	// kinds maps each kind seen to where it was seen.
	kinds map[string]string
}

func (p *parser) fault(where, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s %s", where, fmt.Sprintf(format, args...)))
}

func (p *parser) family(name string, entries []runtimeEntry) []Runtime {
	where := "runtimes." + name
	if len(entries) == 0 {
		p.fault(where, "must list at least one version")
		return nil
	}
	versions := make([]Runtime, 0, len(entries))
	defaults := 0
	for i, entry := range entries {
		r := p.runtime(fmt.Sprintf("%s[%d]", where, i), entry)
		r.Family = name
		if r.Default {
			defaults++
		}
		versions = append(versions, r)
	}
	switch {
	case len(versions) == 1:
		versions[0].Default = true
	case defaults != 1:
		p.fault(where, "must have exactly one version with \"default\": true, not %d", defaults)
	}
	return versions
}

func (p *parser) runtime(where string, entry runtimeEntry) Runtime {
	r := Runtime{
		Default: entry.Default, Deprecated: entry.Deprecated, RequireMain: entry.RequireMain,
		Attached:        len(entry.Attached) > 0 && string(entry.Attached) != "null",
		SentinelledLogs: entry.SentinelledLogs == nil || *entry.SentinelledLogs,
	}
	if entry.Kind == nil {
		p.fault(where+".kind", "is missing")
	} else {
		r.Kind = *entry.Kind
		p.kind(where+".kind", r.Kind)
	}
	if entry.Image == nil {
		p.fault(where+".image", "is missing; write {\"name\": …}")
	} else {
		r.Image = *entry.Image
		p.image(where+".image", r.Image)
	}
	for i, cell := range entry.StemCells {
		r.StemCells = append(r.StemCells, p.stemCell(fmt.Sprintf("%s.stemCells[%d]", where, i), cell))
	}
	return r
}

func (p *parser) kind(where, kind string) {
	if !validKind.MatchString(kind) {
		p.fault(where, "%q is not a kind; requests are matched in lower case, so write one like \"nodejs:20\"", kind)
		return
	}
	if _, isDefault := cutDefault(kind); isDefault {
		p.fault(where, "%q is kept for the default of a family", kind)
		return
	}
	if earlier, seen := p.kinds[kind]; seen {
		p.fault(where, "%q is already taken by %s", kind, earlier)
		return
	}
	p.kinds[kind] = where
}

func (p *parser) image(where string, image entity.Image) {
	if image.Name == "" {
		p.fault(where+".name", "is missing")
		return
	}
	if _, err := entity.ParseImage(image.String()); err != nil {
		p.fault(where, "is not usable: %v", err)
	}
}

func (p *parser) stemCell(where string, entry stemCellEntry) StemCell {
	var cell StemCell
	count := entry.InitialCount
	if count == nil {
		count = entry.Count
	}
	if count == nil {
		p.fault(where+".initialCount", "is missing")
		return cell
	}
	cell.InitialCount = *count
	if entry.Memory == nil {
		p.fault(where+".memory", "is missing; write one like \"256 MB\"")
		return cell
	}
	memory, err := parseMemory(*entry.Memory)
	if err != nil {
		p.fault(where+".memory", "%v", err)
		return cell
	}
	cell.Memory = memory
	if entry.Reactive != nil {
		if cell.Reactive = p.reactive(where+".reactive", *entry.Reactive); cell.Reactive == nil {
			return cell
		}
	}
	if err := cell.validate(); err != nil {
		p.fault(where, "%v", err)
	}
	return cell
}

// reactive returns nil after reporting a fault.
func (p *parser) reactive(where string, entry reactiveEntry) *Reactive {
	before := len(p.faults)
	number := func(name string, value *int) int {
		if value == nil {
			p.fault(where+"."+name, "is missing")
			return 0
		}
		return *value
	}
	r := &Reactive{
		MinCount: number("minCount", entry.MinCount), MaxCount: number("maxCount", entry.MaxCount),
		Threshold: number("threshold", entry.Threshold), Increment: number("increment", entry.Increment),
	}
	if entry.TTL == nil {
		p.fault(where+".ttl", "is missing; write one like \"2 minutes\"")
	} else if ttl, err := parseDuration(*entry.TTL); err != nil {
		p.fault(where+".ttl", "%v", err)
	} else {
		r.TTL = ttl
	}
	if len(p.faults) > before {
		return nil
	}
	return r
}

// validate holds the rules of openwhisk-invoker.md section 8.
func (c StemCell) validate() error {
	switch r := c.Reactive; {
	case c.InitialCount <= 0:
		return fmt.Errorf("initialCount must be greater than 0, not %d", c.InitialCount)
	case c.Memory < entity.Megabytes(1):
		return fmt.Errorf("memory must be at least 1 MB, not %d MB", c.Memory)
	case r == nil:
		return nil
	case r.MinCount < 0 || r.MinCount > r.MaxCount:
		return fmt.Errorf("reactive.minCount must be between 0 and maxCount (%d), not %d", r.MaxCount, r.MinCount)
	case r.MaxCount <= 0:
		return fmt.Errorf("reactive.maxCount must be greater than 0, not %d", r.MaxCount)
	case r.TTL <= time.Duration(0):
		return fmt.Errorf("reactive.ttl must be greater than 0, not %v", r.TTL)
	case r.Threshold <= 0:
		return fmt.Errorf("reactive.threshold must be greater than 0, not %d", r.Threshold)
	case r.Increment <= 0 || r.Increment > r.MaxCount:
		return fmt.Errorf("reactive.increment must be between 1 and maxCount (%d), not %d", r.MaxCount, r.Increment)
	}
	return nil
}
