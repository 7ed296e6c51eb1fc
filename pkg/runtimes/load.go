package runtimes

import (
	"fmt"
	"os"
)

// Load reads the manifest in a file; without a name it is the built-in one.
func Load(file string) (*Manifest, error) {
	if file == "" {
		return Default(), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the runtimes manifest: %w", err)
	}
	m, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("runtimes manifest %s: %w", file, err)
	}
	return m, nil
}
