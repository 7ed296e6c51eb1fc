package runtimes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// UnknownKindError says that no runtime has a kind. Its text is part of the
// contract (openwhisk-rest-api.md 8.2).
type UnknownKindError struct {
	Kind string
	// Valid lists the kinds there are, sorted.
	Valid []string
}

func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("The specified runtime '%s' is not supported by this platform. Valid values are: '%s'.",
		e.Kind, strings.Join(e.Valid, "', '"))
}

// DeprecatedError says that actions of a kind cannot be updated or invoked any
// more. Its text is part of the contract (openwhisk-rest-api.md 8.2).
type DeprecatedError struct{ Kind string }

func (e *DeprecatedError) Error() string {
	return fmt.Sprintf("The '%s' runtime is no longer supported. You may read and delete but not update or invoke this action.", e.Kind)
}

// Normalise returns a kind as the manifest writes it: trimmed, in lower case.
func Normalise(kind string) string { return strings.ToLower(strings.TrimSpace(kind)) }

func cutDefault(kind string) (family string, ok bool) { return strings.CutSuffix(kind, defaultSuffix) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
