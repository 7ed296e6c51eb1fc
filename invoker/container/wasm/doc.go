// Package wasm runs actions of the kinds wasm:* in the invoker itself, as
// WebAssembly modules that speak WASI preview 1 (docs/wasm.md says what an
// action's author can rely on).
//
// A container is no more than a module that was loaded for an action: each
// activation is an instance of its own, with its own memory, that ends with it.
// Modules are compiled to machine code once, by another process (CompileMain),
// for a compiler at work cannot be interrupted and takes as much memory as a
// hostile module makes it take. What it made is kept on disk, so that a module is
// ready in milliseconds after a restart, and in memory while it is used.
//
// Machine code cannot be interrupted either, and Go's garbage collector would wait
// for it: so a module is rewritten before it is compiled (instrument.go) to look
// every so often whether it is to end.
//
// Contract: openwhisk-invoker.md sections 1 and 4.3.
package wasm
