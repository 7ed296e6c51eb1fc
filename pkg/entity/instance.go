package entity

import "strconv"

// InvokerID numbers an invoker of a cluster from 0.
type InvokerID int

// String is the invoker's name, "invoker<N>", which is also its topic.
func (i InvokerID) String() string { return "invoker" + strconv.Itoa(int(i)) }

// ControllerID names a controller of a cluster: its ordinal as a string.
type ControllerID string
