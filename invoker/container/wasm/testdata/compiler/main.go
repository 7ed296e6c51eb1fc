// Command compiler is the compiler alone. Tests build it without the race detector,
// under which compiling takes twenty times as long and other words for what goes
// wrong.
package main

import (
	"os"

	"github.com/gowhisk/gowhisk/invoker/container/wasm"
)

func main() { os.Exit(wasm.CompileMain(os.Args[2:])) }
