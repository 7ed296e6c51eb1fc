package encryption

import (
	"encoding/json"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// OpenValue decrypts a JSON value that is marked with a scheme and returns the JSON
// that was encrypted, spelled as it was. Errors are those of Open.
func (k *Keyring) OpenValue(scheme string, value json.RawMessage) (json.RawMessage, error) {
	if scheme == "" || scheme == unencrypted {
		return value, nil
	}
	var text string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &text) != nil {
		return nil, ErrFormat
	}
	plain, err := k.Open(scheme, text)
	if err != nil {
		return nil, err
	}
	if !json.Valid(plain) {
		return nil, ErrFormat // whoever has the key encrypted something else
	}
	return plain, nil
}

func (k *Keyring) unlock(q entity.Parameter) (entity.Parameter, error) {
	plain, err := k.OpenValue(q.Encryption, q.Value)
	if err != nil {
		return q, err
	}
	q.Value, q.Encryption = plain, ""
	return q, nil
}
