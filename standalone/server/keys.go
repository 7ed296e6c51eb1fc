package server

import (
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/encryption"
)

// openKeys loads the keys of parameters, nil if there are none.
func openKeys(path string) (*encryption.Keyring, error) {
	if path == "" {
		return nil, nil
	}
	keys, err := encryption.Load(path)
	if err != nil {
		return nil, fmt.Errorf("--parameter-keys: %w", err)
	}
	return keys, nil
}

// maxMessage bounds a message of the queue: encrypted parameters, which travel as
// they are stored, are a third larger, and each has 0.2 KB of its own.
func maxMessage(keys *encryption.Keyring) int {
	if keys == nil {
		return local.DefaultMaxMessage
	}
	return local.DefaultMaxMessage + 1<<20
}
