package entity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// ActivationID is 32 lower-case hexadecimal characters.
type ActivationID string

// NewActivationID returns a random id: a UUIDv4 without dashes.
func NewActivationID() ActivationID {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return ActivationID(hex.EncodeToString(b[:]))
}

// DeriveActivationID returns the id of a step of the activation parent, always the
// same one, so that who repeats the step finds what came of it (durability.md
// section 3). Its form is that of NewActivationID.
func DeriveActivationID(parent ActivationID, step string) ActivationID {
	sum := sha256.Sum256([]byte(string(parent) + "/" + step))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return ActivationID(hex.EncodeToString(b))
}

// ParseActivationID checks an id; its error is a *NameError with the contract's
// text (openwhisk-rest-api.md section 4).
func ParseActivationID(s string) (ActivationID, error) {
	if len(s) != 32 {
		return "", &NameError{fmt.Sprintf("Activation id length is %d but must be 32.", len(s))}
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", &NameError{"The activation id is not valid."}
		}
	}
	return ActivationID(s), nil
}

// StatusCode classifies how an activation ended (openwhisk-rest-api.md 9.3).
type StatusCode int

const (
	StatusSuccess          StatusCode = 0
	StatusApplicationError StatusCode = 1
	StatusDeveloperError   StatusCode = 2
	StatusWhiskError       StatusCode = 3
)

var statusTexts = [...]string{"success", "application error", "action developer error", "whisk internal error"}

// String is the text of response.status.
func (c StatusCode) String() string {
	if c < 0 || int(c) >= len(statusTexts) {
		return "unknown"
	}
	return statusTexts[c]
}

// Response is the outcome of an activation.
type Response struct {
	StatusCode StatusCode
	// Result is the user's JSON, nil if there is none.
	Result json.RawMessage
	// Size is the length of the runtime's answer, nil where nothing ran.
	Size *int64
}

// ErrorResponse is an outcome whose result is {"error": text}.
func ErrorResponse(code StatusCode, text string) Response {
	result := append(AppendString([]byte(`{"error":`), text), '}')
	return Response{StatusCode: code, Result: result}
}

// AppendJSON appends the API form: {"status","success","result"?,"size"?}.
func (r *Response) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"status":"`...)
	dst = append(dst, r.StatusCode.String()...)
	dst = append(dst, `","success":`...)
	dst = strconv.AppendBool(dst, r.StatusCode == StatusSuccess)
	if r.Size != nil {
		dst = append(dst, `,"size":`...)
		dst = strconv.AppendInt(dst, *r.Size, 10)
	}
	if r.Result != nil {
		dst = append(dst, `,"result":`...)
		dst = append(dst, r.Result...)
	}
	return append(dst, '}')
}

// Activation is the record of one run (openwhisk-rest-api.md section 10).
type Activation struct {
	// Namespace of the invoking identity.
	Namespace    Path
	Name         Name
	Version      Version
	Subject      string
	ActivationID ActivationID
	// Cause is the id of the enclosing sequence or composition, "" if none.
	Cause ActivationID
	// Start and End are milliseconds since the epoch; an End of 0 is none
	// (triggers).
	Start, End int64
	// Duration in milliseconds, nil for triggers. It includes init, and for
	// sequences is the sum over the components.
	Duration    *int64
	Response    Response
	Logs        []string
	Annotations Parameters
	Publish     bool
}

// AppendJSON appends the full API form. Without withLogs the logs are [].
func (a *Activation) AppendJSON(dst []byte, withLogs bool) []byte {
	dst = append(dst, '{')
	dst = a.appendAddress(dst)
	dst = append(dst, `,"subject":`...)
	dst = AppendString(dst, a.Subject)
	dst = a.appendTimes(dst)
	if a.Duration != nil {
		dst = append(dst, `,"duration":`...)
		dst = strconv.AppendInt(dst, *a.Duration, 10)
	}
	dst = append(dst, `,"response":`...)
	dst = a.Response.AppendJSON(dst)
	dst = append(dst, `,"logs":`...)
	if withLogs {
		dst = AppendStrings(dst, a.Logs)
	} else {
		dst = append(dst, '[', ']')
	}
	return append(a.appendTail(dst), '}')
}

// AppendSummary appends the item of list answers (openwhisk-rest-api.md 17.2).
func (a *Activation) AppendSummary(dst []byte) []byte {
	dst = append(dst, '{')
	dst = a.appendAddress(dst)
	dst = a.appendTimes(dst)
	if a.End != 0 {
		dst = append(dst, `,"duration":`...)
		dst = strconv.AppendInt(dst, a.End-a.Start, 10)
		dst = append(dst, `,"statusCode":`...)
		dst = strconv.AppendInt(dst, int64(a.Response.StatusCode), 10)
	}
	return append(a.appendTail(dst), '}')
}

func (a *Activation) appendAddress(dst []byte) []byte {
	dst = append(dst, `"namespace":`...)
	dst = AppendString(dst, string(a.Namespace))
	dst = append(dst, `,"name":`...)
	dst = AppendString(dst, string(a.Name))
	dst = append(dst, `,"version":"`...)
	dst = append(dst, a.Version.String()...)
	dst = append(dst, `","activationId":"`...)
	dst = append(dst, a.ActivationID...)
	return append(dst, '"')
}

func (a *Activation) appendTimes(dst []byte) []byte {
	if a.Cause != "" {
		dst = append(dst, `,"cause":"`...)
		dst = append(dst, a.Cause...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"start":`...)
	dst = strconv.AppendInt(dst, a.Start, 10)
	if a.End != 0 {
		dst = append(dst, `,"end":`...)
		dst = strconv.AppendInt(dst, a.End, 10)
	}
	return dst
}

func (a *Activation) appendTail(dst []byte) []byte {
	dst = append(dst, `,"annotations":`...)
	dst = a.Annotations.AppendJSON(dst)
	dst = append(dst, `,"publish":`...)
	return strconv.AppendBool(dst, a.Publish)
}

// FilterPath is what the name filter of activation lists compares with:
// "binding/name" for actions reached through a binding, "package/name" for
// packaged actions, else the name (openwhisk-invoker.md 6.7).
func (a *Activation) FilterPath() string {
	if binding, ok := a.Annotations.String("binding"); ok {
		if pkg := Path(binding).Package(); pkg != "" {
			return pkg + "/" + string(a.Name)
		}
	}
	if path, ok := a.Annotations.String("path"); ok {
		if f, err := ParseFQN(path); err == nil && f.Path.Package() != "" {
			return f.Path.Package() + "/" + string(a.Name)
		}
	}
	return string(a.Name)
}

// AppendStrings appends a JSON array of strings.
func AppendStrings[S ~string](dst []byte, list []S) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, s)
	}
	return append(dst, ']')
}
