package entity

import (
	"crypto/sha256"
	"strconv"
)

// Action is a function, a sequence, or an image to run.
type Action struct {
	Header
	Exec       Exec
	Parameters Parameters
	Limits     ActionLimits
	// Binding is the path "ns/binding" that the action was reached through, ""
	// otherwise. It is never stored.
	Binding Path
}

// Type is TypeAction.
func (*Action) Type() Type { return TypeAction }

// FQN is the action's own address.
func (a *Action) FQN() FQN { return FQN{Path: a.Namespace, Name: a.Name} }

// Identity identifies everything of the action that a warm container depends on:
// address, code, parameters, limits, version and annotations, and not the
// revision (openwhisk-invoker.md 2.5). Code whose digest is not known counts by
// revision.
func (a *Action) Identity() string {
	b := *a
	b.Updated = 0
	if b.Exec.Digest == "" {
		b.Exec.Digest = "revision " + a.Revision
	}
	sum := sha256.Sum256(AppendDocument(nil, &b))
	return string(sum[:])
}

// AppendJSON appends the API form (openwhisk-rest-api.md 8.1).
func (a *Action) AppendJSON(dst []byte, withCode bool) []byte {
	dst = append(dst, '{')
	dst = a.appendAddress(dst)
	dst = append(dst, `,"exec":`...)
	dst = a.Exec.AppendJSON(dst, withCode)
	dst = append(dst, `,"parameters":`...)
	dst = a.Parameters.AppendJSON(dst)
	dst = append(dst, `,"limits":`...)
	dst = a.Limits.AppendJSON(dst)
	dst = a.appendState(dst)
	if a.Binding != "" {
		dst = append(dst, `,"binding":`...)
		dst = AppendString(dst, string(a.Binding))
	}
	return append(dst, '}')
}

// AppendSummary implements Entity.
func (a *Action) AppendSummary(dst []byte) []byte {
	dst = append(dst, '{')
	dst = a.appendAddress(dst)
	dst = a.appendState(dst)
	dst = append(dst, `,"limits":`...)
	dst = a.Limits.AppendJSON(dst)
	dst = append(dst, `,"exec":{"binary":`...)
	dst = strconv.AppendBool(dst, a.Exec.Binary)
	return append(dst, '}', '}')
}

// appendAddress appends namespace and name without braces.
func (h *Header) appendAddress(dst []byte) []byte {
	dst = append(dst, `"namespace":`...)
	dst = AppendString(dst, string(h.Namespace))
	dst = append(dst, `,"name":`...)
	return AppendString(dst, string(h.Name))
}

// appendState appends version, publish, annotations and updated behind a comma.
func (h *Header) appendState(dst []byte) []byte {
	dst = append(dst, `,"version":"`...)
	dst = append(dst, h.Version.String()...)
	dst = append(dst, `","publish":`...)
	dst = strconv.AppendBool(dst, h.Publish)
	dst = append(dst, `,"annotations":`...)
	dst = h.Annotations.AppendJSON(dst)
	dst = append(dst, `,"updated":`...)
	return strconv.AppendInt(dst, h.Updated, 10)
}
