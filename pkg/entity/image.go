package entity

import (
	"fmt"
	"regexp"
	"strings"
)

// Image names a container image.
type Image struct {
	// Registry is a host with an optional port, or empty.
	Registry string `json:"registry,omitempty"`
	// Prefix is the path before the name, or empty.
	Prefix string `json:"prefix,omitempty"`
	Name   string `json:"name"`
	// Tag is empty where none was given, which means "latest".
	Tag string `json:"tag,omitempty"`
	// Digest pins the content, as "sha256:…". Manifests of OpenWhisk have none.
	Digest string `json:"digest,omitempty"`
}

// String is `[registry/][prefix/]name[:tag][@digest]`.
func (i Image) String() string { return i.In("") }

// In is String for a platform whose images are in systemRegistry: the image's
// own registry, where it has one, goes before that (openwhisk-invoker.md section 8).
func (i Image) In(systemRegistry string) string {
	var b strings.Builder
	registry := i.Registry
	if registry == "" {
		registry = strings.TrimSuffix(systemRegistry, "/")
	}
	for _, part := range []string{registry, i.Prefix} {
		if part != "" {
			b.WriteString(part)
			b.WriteByte('/')
		}
	}
	b.WriteString(i.Name)
	if i.Tag != "" {
		b.WriteByte(':')
		b.WriteString(i.Tag)
	}
	if i.Digest != "" {
		b.WriteByte('@')
		b.WriteString(i.Digest)
	}
	return b.String()
}

// Equal compares images; a missing tag equals "latest".
func (i Image) Equal(other Image) bool {
	if i.Tag == "" {
		i.Tag = "latest"
	}
	if other.Tag == "" {
		other.Tag = "latest"
	}
	return i == other
}

var (
	imageDomain    = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?$`)
	imageComponent = regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$`)
	imageTag       = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	imageDigest    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$`)
)

// ParseImage reads an image reference of Docker's grammar,
// `[domain[:port]/]path[/path…][:tag][@digest]`. Unlike OpenWhisk it keeps the
// digest, so a pinned image stays pinned.
func ParseImage(reference string) (Image, error) {
	var image Image
	rest, digest, hasDigest := strings.Cut(reference, "@")
	if hasDigest {
		if !imageDigest.MatchString(digest) {
			return Image{}, fmt.Errorf("%q is not an image: %q is not a digest", reference, digest)
		}
		image.Digest = digest
	}
	// A colon after the last slash starts the tag; an earlier one a port.
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		if !imageTag.MatchString(rest[colon+1:]) {
			return Image{}, fmt.Errorf("%q is not an image: %q is not a tag", reference, rest[colon+1:])
		}
		rest, image.Tag = rest[:colon], rest[colon+1:]
	}
	parts := strings.Split(rest, "/")
	if len(parts) > 1 && isDomain(parts[0]) {
		if !imageDomain.MatchString(parts[0]) {
			return Image{}, fmt.Errorf("%q is not an image: %q is not a registry", reference, parts[0])
		}
		image.Registry, parts = parts[0], parts[1:]
	}
	for _, part := range parts {
		if !imageComponent.MatchString(part) {
			return Image{}, fmt.Errorf("%q is not an image: %q is not a name in lower case", reference, part)
		}
	}
	image.Name = parts[len(parts)-1]
	image.Prefix = strings.Join(parts[:len(parts)-1], "/")
	return image, nil
}

// isDomain: Docker's rule for telling a registry from the first part of a path.
func isDomain(part string) bool {
	return part == "localhost" || strings.ContainsAny(part, ".:") || part != strings.ToLower(part)
}
