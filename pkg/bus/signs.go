package bus

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// The wire forms of what members of a cluster tell each other. They are sent seldom, so
// that encoding/json is quick enough.

type wireInstance struct {
	Instance      int    `json:"instance"`
	UserMemory    string `json:"userMemory,omitempty"`
	BusyMemory    string `json:"busyMemory,omitempty"`
	InstanceType  string `json:"instanceType"`
	UniqueName    string `json:"uniqueName,omitempty"`
	DisplayedName string `json:"displayedName,omitempty"`
	// Tags and DedicatedNamespaces are OpenWhisk's; we have none.
	Tags                []string `json:"tags"`
	DedicatedNamespaces []string `json:"dedicatedNamespaces"`
}

type wirePing struct {
	Name      wireInstance `json:"name"`
	IsEnabled *bool        `json:"isEnabled"`
	Waiting   int          `json:"waiting,omitempty"` // ours
	Sent      int64        `json:"sent,omitempty"`    // ours
}

// JSON is the wire form (openwhisk-invoker.md 5.2).
func (p *Ping) JSON() ([]byte, error) {
	return json.Marshal(wirePing{
		Name: wireInstance{
			Instance: int(p.Invoker), InstanceType: "invoker", UniqueName: p.UniqueName, DisplayedName: p.DisplayedName,
			UserMemory: megabytes(p.UserMemory), BusyMemory: megabytes(p.BusyMemory), Tags: []string{}, DedicatedNamespaces: []string{},
		},
		IsEnabled: &p.Enabled, Waiting: p.Waiting, Sent: p.Sent.UnixMilli(),
	})
}

// MaxInvoker bounds the ids of invokers, by which lists of them are ordered.
const MaxInvoker = 100_000

func megabytes(m entity.Megabytes) string { return strconv.Itoa(int(m)) + " MB" }

func parseMegabytes(s string) (entity.Megabytes, error) {
	if s == "" {
		return 0, nil
	}
	n, err := entity.ParseByteSize(s)
	return entity.Megabytes(n >> 20), err
}

// ParsePing reads the wire form, also OpenWhisk's.
func ParsePing(data []byte) (*Ping, error) {
	var w wirePing
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	if w.Name.InstanceType != "invoker" || w.Name.Instance < 0 || w.Name.Instance > MaxInvoker {
		return nil, fmt.Errorf("ping: it is not an invoker's")
	}
	user, err := parseMegabytes(w.Name.UserMemory)
	if err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	busy, err := parseMegabytes(w.Name.BusyMemory)
	if err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	return &Ping{
		Invoker: entity.InvokerID(w.Name.Instance), UniqueName: w.Name.UniqueName, DisplayedName: w.Name.DisplayedName,
		UserMemory: user, BusyMemory: busy, Enabled: w.IsEnabled == nil || *w.IsEnabled, Waiting: w.Waiting, Sent: time.UnixMilli(w.Sent),
	}, nil
}

type wireHeartbeat struct {
	Name struct {
		AsString     string `json:"asString"`
		InstanceType string `json:"instanceType"`
	} `json:"name"`
	UniqueName string `json:"uniqueName"`
	Leaving    bool   `json:"leaving,omitempty"`
	Sent       int64  `json:"sent"`
}

// JSON is the wire form.
func (h *Heartbeat) JSON() ([]byte, error) {
	w := wireHeartbeat{UniqueName: h.UniqueName, Leaving: h.Leaving, Sent: h.Sent.UnixMilli()}
	w.Name.AsString, w.Name.InstanceType = string(h.Controller), "controller"
	return json.Marshal(w)
}

// ParseHeartbeat reads the wire form.
func ParseHeartbeat(data []byte) (*Heartbeat, error) {
	var w wireHeartbeat
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	if w.Name.AsString == "" || w.Name.InstanceType != "controller" {
		return nil, fmt.Errorf("heartbeat: it is not a controller's")
	}
	return &Heartbeat{Controller: entity.ControllerID(w.Name.AsString), UniqueName: w.UniqueName, Leaving: w.Leaving, Sent: time.UnixMilli(w.Sent)}, nil
}

// Invalidation says that something was written, or that such news was taken in.
type Invalidation struct {
	// Entity that was written, or Subjects: keys, limits or subjects were.
	Entity   entity.DocID
	Subjects bool
	// From is who says it.
	From string
	// Number is the sender's, for the answer; 0 wants none.
	Number int64
	// AnswerTo and Number are set in answers: whose news was taken in.
	AnswerTo string
}

type wireInvalidation struct {
	Key        *wireKey `json:"key,omitempty"`
	InstanceID string   `json:"instanceId"`
	Subjects   bool     `json:"subjects,omitempty"` // ours, as what follows
	Number     int64    `json:"number,omitempty"`
	AnswerTo   string   `json:"answerTo,omitempty"`
}

type wireKey struct {
	MainID string `json:"mainId"`
}

// JSON is the wire form (openwhisk-invoker.md 6.10).
func (i *Invalidation) JSON() ([]byte, error) {
	w := wireInvalidation{InstanceID: i.From, Subjects: i.Subjects, Number: i.Number, AnswerTo: i.AnswerTo}
	if i.Entity != "" {
		w.Key = &wireKey{string(i.Entity)}
	}
	return json.Marshal(w)
}

// ParseInvalidation reads the wire form, also OpenWhisk's.
func ParseInvalidation(data []byte) (*Invalidation, error) {
	var w wireInvalidation
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("invalidation: %w", err)
	}
	i := &Invalidation{From: w.InstanceID, Subjects: w.Subjects, Number: w.Number, AnswerTo: w.AnswerTo}
	if w.Key != nil {
		i.Entity = entity.DocID(strings.TrimSpace(w.Key.MainID))
	}
	if i.Entity == "" && !i.Subjects && i.AnswerTo == "" {
		return nil, fmt.Errorf("invalidation: it names nothing")
	}
	return i, nil
}

type wireEvent struct {
	Body      json.RawMessage `json:"body"`
	EventType string          `json:"eventType"`
	Source    string          `json:"source"`
	Subject   string          `json:"subject"`
	Namespace string          `json:"namespace"`
	UserID    string          `json:"userId"`
	Timestamp int64           `json:"timestamp"`
}

// JSON is the wire form (openwhisk-invoker.md 7.2).
func (e *Event) JSON() ([]byte, error) {
	return json.Marshal(wireEvent{e.Body, e.EventType, e.Source, e.Subject, e.Namespace, e.UserID, e.Timestamp.UnixMilli()})
}
