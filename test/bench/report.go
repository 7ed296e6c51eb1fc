package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// result is one figure. Bar and Holds are null where nothing was promised.
type result struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Bar   *float64 `json:"bar"`
	Holds *bool    `json:"holds"`
}

type report struct{ results []result }

func (r *report) add(name string, value float64, unit string) {
	r.results = append(r.results, result{Name: name, Value: value, Unit: unit})
}

// atMost adds a figure whose bar holds up to and including bar.
func (r *report) atMost(name string, value float64, unit string, bar float64) {
	r.results = append(r.results, result{Name: name, Value: value, Unit: unit, Bar: &bar, Holds: new(value <= bar)})
}

// atLeast adds a figure whose bar holds from bar on.
func (r *report) atLeast(name string, value float64, unit string, bar float64) {
	r.results = append(r.results, result{Name: name, Value: value, Unit: unit, Bar: &bar, Holds: new(value >= bar)})
}

func (r *report) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "value\tunit\tbar\t\t  what\t")
	for _, one := range r.results {
		bar, verdict := "", ""
		if one.Bar != nil {
			bar, verdict = fmt.Sprintf("%.2f", *one.Bar), "holds"
			if !*one.Holds {
				verdict = "MISSED"
			}
		}
		fmt.Fprintf(table, "%.3f\t%s\t%s\t%s\t  %s\t\n", one.Value, one.Unit, bar, verdict, one.Name)
	}
	table.Flush()
}

func (r *report) write(path string) error {
	content, err := json.MarshalIndent(r.results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}

// median of the values, which it sorts.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
