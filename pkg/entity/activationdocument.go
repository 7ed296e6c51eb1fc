package entity

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// AppendDocument appends the document form of a without _id and _rev: what databases
// and acknowledgements have (openwhisk-invoker.md 5.2, 6.3).
func (a *Activation) AppendDocument(dst []byte) []byte {
	dst = append(dst, '{')
	dst = a.appendAddress(dst)
	dst = append(dst, `,"entityType":"activation","subject":`...)
	dst = AppendString(dst, a.Subject)
	dst = a.appendTimes(dst)
	if a.Duration != nil {
		dst = append(dst, `,"duration":`...)
		dst = strconv.AppendInt(dst, *a.Duration, 10)
	}
	dst = append(dst, `,"response":{"statusCode":`...)
	dst = strconv.AppendInt(dst, int64(a.Response.StatusCode), 10)
	if a.Response.Size != nil {
		dst = append(dst, `,"size":`...)
		dst = strconv.AppendInt(dst, *a.Response.Size, 10)
	}
	if a.Response.Result != nil {
		dst = append(dst, `,"result":`...)
		dst = append(dst, a.Response.Result...)
	}
	dst = append(dst, `},"logs":`...)
	dst = AppendStrings(dst, a.Logs)
	dst = append(dst, `,"updated":`...)
	dst = strconv.AppendInt(dst, max(a.Start, a.End), 10)
	return append(a.appendTail(dst), '}')
}

type activationDocument struct {
	Namespace    Path       `json:"namespace"`
	Name         Name       `json:"name"`
	Version      Version    `json:"version"`
	Subject      string     `json:"subject"`
	ActivationID string     `json:"activationId"`
	EntityType   string     `json:"entityType"`
	Cause        string     `json:"cause"`
	Start        int64      `json:"start"`
	End          int64      `json:"end"`
	Duration     *int64     `json:"duration"`
	Logs         []string   `json:"logs"`
	Annotations  Parameters `json:"annotations"`
	Publish      bool       `json:"publish"`
	Response     struct {
		StatusCode *int            `json:"statusCode"`
		Result     json.RawMessage `json:"result"`
		Size       *int64          `json:"size"`
	} `json:"response"`
}

// ParseActivationDocument reads what AppendDocument wrote, or OpenWhisk did. Errors
// wrap ErrUnreadable.
func ParseActivationDocument(data []byte) (*Activation, error) {
	var d activationDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return d.activation()
}

func (d *activationDocument) activation() (*Activation, error) {
	id, err := ParseActivationID(d.ActivationID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if d.EntityType != "" && d.EntityType != "activation" {
		return nil, fmt.Errorf("%w: it is a %s", ErrUnreadable, d.EntityType)
	}
	if d.Version == (Version{}) {
		d.Version = FirstVersion // 0.0.0 is not a version
	}
	a := &Activation{
		Namespace: d.Namespace, Name: d.Name, Version: d.Version, Subject: d.Subject, ActivationID: id, Cause: ActivationID(d.Cause),
		Start: d.Start, End: d.End, Duration: d.Duration, Logs: d.Logs, Annotations: d.Annotations, Publish: d.Publish,
		Response: Response{Result: d.Response.Result, Size: d.Response.Size},
	}
	if d.Response.StatusCode != nil {
		if code := *d.Response.StatusCode; code < 0 || code > int(StatusWhiskError) {
			return nil, fmt.Errorf("%w: the status code is %d", ErrUnreadable, code)
		}
		a.Response.StatusCode = StatusCode(*d.Response.StatusCode)
	}
	return a, nil
}

// ActivationSummaryFields are what lists of records have (openwhisk-invoker.md 6.7).
type ActivationSummaryFields struct {
	Namespace    Path         `json:"namespace"`
	Name         Name         `json:"name"`
	Version      Version      `json:"version"`
	Publish      bool         `json:"publish"`
	Annotations  Parameters   `json:"annotations"`
	ActivationID ActivationID `json:"activationId"`
	Start        int64        `json:"start"`
	End          int64        `json:"end"`
	Duration     *int64       `json:"duration"`
	Cause        ActivationID `json:"cause"`
}

// Activation is the record as far as the fields say.
func (f *ActivationSummaryFields) Activation() *Activation {
	return &Activation{
		Namespace: f.Namespace, Name: f.Name, Version: f.Version, Publish: f.Publish, Annotations: f.Annotations,
		ActivationID: f.ActivationID, Start: f.Start, End: f.End, Duration: f.Duration, Cause: f.Cause,
	}
}
