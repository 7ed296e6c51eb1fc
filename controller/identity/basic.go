package identity

import (
	"encoding/base64"
	"strings"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// maxCredentials bounds the decoded "uuid:key". A well-formed pair has 101
// bytes; the uuid is opaque, so longer ones are possible.
const maxCredentials = 512

// ParseBasic reads an Authorization header of the form "Basic base64(uuid:key)".
// It reports false for everything else: another scheme, broken base64, a missing
// colon, a key that is not 64 characters long (openwhisk-rest-api.md section 2).
func ParseBasic(header string) (entity.AuthKey, bool) {
	const scheme = "basic "
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return entity.AuthKey{}, false
	}
	encoded := strings.TrimSpace(header[len(scheme):])
	if base64.StdEncoding.DecodedLen(len(encoded)) > maxCredentials {
		return entity.AuthKey{}, false
	}
	var buf [maxCredentials]byte
	n, err := base64.StdEncoding.Decode(buf[:], []byte(encoded))
	if err != nil {
		return entity.AuthKey{}, false
	}
	uuid, key, found := strings.Cut(string(buf[:n]), ":")
	if !found || uuid == "" || len(key) != entity.KeyLength {
		return entity.AuthKey{}, false
	}
	return entity.AuthKey{UUID: uuid, Key: key}, true
}
