// Package process runs action containers as confined processes of this machine,
// without any container engine. It is the default of the embedded platform.
//
// A container is the server's own binary, started again with a hidden first
// argument (ContainerMain): it confines itself and then is the action proxy. How
// far it can be confined depends on system and privileges; the factory finds out
// by trying, at the strongest level that works:
//
//	LevelRoot   Linux as root: own mount, pid, ipc and uts namespaces, own user id
//	LevelUser   Linux unprivileged: the same namespaces inside a user namespace
//	LevelPlain  anything else: process tree, resource limits, Landlock if present
//
// Control groups, where writable, bound memory and processes at every level.
// Factory.Isolation says what holds; docs/isolation.md says what that means.
//
// Processes of the launchers for Python come from a fork server per interpreter
// (forkserver.go), since a fork answers in a few ms where a start takes 150.
//
// Contract: openwhisk-invoker.md sections 1, 3 and 4.3.
package process
