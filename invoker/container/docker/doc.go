// Package docker runs action containers on a Docker engine.
//
// A Factory talks to the engine's API; its containers are reached over TCP at
// their own addresses on a bridge network that keeps them from each other, or
// through ports published on the loopback interface where that network cannot be
// reached. Every container carries labels that name its owner, so that whoever
// comes after a killed server finds and removes what it left.
//
// Three kinds of goroutines work for a factory, and end with Close: one follows
// the engine's events and puts things in order whenever the engine comes back
// (watch.go), one per container reads its logs (logs.go), and one per image that
// is being pulled (pull.go).
//
// Logs are followed through the engine's log API, not by attaching. Attached
// streams are quicker by a moment, but what is printed while nobody is attached is
// lost; the log API gives time stamps, so that a stream that broke, because the
// engine was restarted under live containers, goes on without loss or repetition.
// It also reads what a container printed last after that has ended.
//
// Contract: openwhisk-invoker.md sections 1, 2.2, 2.7, 3 and 4.1;
// docs/containers.md tells operators what it means.
package docker
