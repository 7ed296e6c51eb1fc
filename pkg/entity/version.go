package entity

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Version is an entity's version, "major.minor.patch".
type Version struct{ Major, Minor, Patch int }

// FirstVersion is the version of an entity that was just created.
var FirstVersion = Version{0, 0, 1}

// Next returns the version after an update.
func (v Version) Next() Version { return Version{v.Major, v.Minor, v.Patch + 1} }

func (v Version) String() string {
	var b [24]byte
	return string(v.append(b[:0]))
}

func (v Version) append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(v.Major), 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, int64(v.Minor), 10)
	dst = append(dst, '.')
	return strconv.AppendInt(dst, int64(v.Patch), 10)
}

// ParseVersion reads "1", "1.2" or "1.2.3"; missing parts are zero. 0.0.0 and
// negative parts are a *MalformedError (openwhisk-rest-api.md section 4).
func ParseVersion(s string) (Version, error) {
	malformed := &MalformedError{"semantic version malformed"}
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return Version{}, malformed
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 31) // takes no sign
		if err != nil {
			return Version{}, malformed
		}
		n[i] = int(v)
	}
	v := Version{n[0], n[1], n[2]}
	if v == (Version{}) {
		return Version{}, malformed
	}
	return v, nil
}

// MarshalJSON writes the version as a string.
func (v Version) MarshalJSON() ([]byte, error) { return []byte(`"` + v.String() + `"`), nil }

// UnmarshalJSON reads the string form.
func (v *Version) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) != nil {
		return &MalformedError{"semantic version malformed"}
	}
	parsed, err := ParseVersion(s)
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
