// Package entity holds the nouns of the platform, their validation and their
// JSON: names and paths, actions, packages, triggers, rules, activations,
// subjects and limits.
//
// Each entity has two JSON forms. The API form is what clients send and read
// (openwhisk-rest-api.md sections 4 to 15); the document form is what stores
// keep (openwhisk-invoker.md section 6). Values that users chose, such as
// parameters and results, stay json.RawMessage from end to end, so their
// numbers, key order and spelling survive.
package entity

// Type tells the collections of a namespace apart. All of them share one key
// space (openwhisk-rest-api.md section 4).
type Type string

const (
	TypeAction  Type = "action"
	TypePackage Type = "package"
	TypeTrigger Type = "trigger"
	TypeRule    Type = "rule"
)

// Entity is a stored document of a namespace: *Action, *Package, *Trigger or *Rule.
type Entity interface {
	// Type is the collection that the entity belongs to.
	Type() Type
	// Head returns the fields that all entities have; changing it changes the entity.
	Head() *Header
	// AppendSummary appends the entity's item in list answers
	// (openwhisk-rest-api.md 6.1).
	AppendSummary(dst []byte) []byte
}

// Header holds what all entities have in common.
type Header struct {
	// Namespace is the owner's namespace, with the package's name behind a slash
	// for packaged actions: "guest" or "guest/pkg".
	Namespace Path
	Name      Name
	Version   Version
	Publish   bool
	// Annotations in the order that clients see.
	Annotations Parameters
	// Updated is when the entity was last written, in milliseconds since the epoch.
	Updated int64

	// Revision is the store's mark of the stored state, opaque to everyone else;
	// "" for an entity that has never been stored.
	Revision string
}

// Head implements Entity for everything that embeds a Header.
func (h *Header) Head() *Header { return h }

// ID is the key under which the entity is stored: "ns/name" or "ns/pkg/name".
func (h *Header) ID() DocID { return DocID(string(h.Namespace) + "/" + string(h.Name)) }

// DocID is the key of a stored entity: "ns/name" or "ns/pkg/name".
type DocID string
