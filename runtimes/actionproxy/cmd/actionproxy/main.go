// Command actionproxy serves one action in a container image.
package main

import (
	"os"

	"github.com/gowhisk/gowhisk/runtimes/actionproxy"
)

func main() {
	hide()
	os.Exit(actionproxy.ImageMain(os.Args[1:]))
}
