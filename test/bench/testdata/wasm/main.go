// Command wasm is the least that an action in Go can do, for GOOS=wasip1.
package main

import (
	"encoding/json"
	"os"
)

func main() {
	var args struct{ Name string }
	if err := json.NewDecoder(os.Stdin).Decode(&args); err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"hello": args.Name}); err != nil {
		panic(err)
	}
}
