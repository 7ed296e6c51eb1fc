package entity

import (
	"regexp"
	"strings"
)

// imagePattern is Docker's grammar of an image reference:
// [domain[:port]/]path[/path…][:tag][@digest].
var imagePattern = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?/)?` +
	`[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*` +
	`(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9+.-]*:[0-9a-fA-F]{32,})?$`)

// ParseImage checks an image reference and returns it trimmed. A missing tag is
// not filled in. Its error is a *MalformedError.
func ParseImage(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !imagePattern.MatchString(s) {
		return "", &MalformedError{"could not parse image name"}
	}
	return s, nil
}
