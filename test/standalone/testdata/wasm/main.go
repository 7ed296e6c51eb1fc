// Command wasm is an action for the kind wasm:wasi: what it is asked for is in
// "do".
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var args struct {
		Do   string
		Name string
	}
	if err := json.Unmarshal(input, &args); err != nil {
		panic(err)
	}
	switch args.Do {
	case "greet":
		fmt.Println("a log line for", os.Getenv("__OW_ACTION_NAME"))
		fmt.Fprintln(os.Stderr, "to stderr")
		answer(map[string]string{"said": "hello " + args.Name})
	case "echo":
		fmt.Printf(`{"args":%s}`, input)
	case "fail":
		answer(map[string]string{"error": "no luck"})
	case "exit":
		answer(map[string]string{"error": "no luck"})
		os.Exit(1)
	case "panic":
		panic("lost")
	case "spin":
		for n := 0; ; n++ {
			if n < 0 {
				fmt.Println(n)
			}
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "hog":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
		}
	case "look":
		files := map[string]string{}
		for _, path := range []string{"/", "/etc/passwd", ".", "/proc/self/environ"} {
			if _, err := os.Open(path); err == nil {
				files[path] = "opened"
			}
		}
		answer(files)
	}
}

func answer(v any) {
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		panic(err)
	}
}
