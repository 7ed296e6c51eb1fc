package encryption

// LoadOptional loads the keys of a file; without a file there are none, which is a nil
// keyring.
func LoadOptional(path string) (*Keyring, error) {
	if path == "" {
		return nil, nil
	}
	return Load(path)
}

// MaxMessage is how large a message may be that carries parameters, in bytes, where
// plain ones may have plain bytes: encrypted parameters, which travel as they are
// stored, are a third larger, and each has 0.2 KB of its own.
func (k *Keyring) MaxMessage(plain int) int {
	if k == nil {
		return plain
	}
	return plain + 1<<20
}
