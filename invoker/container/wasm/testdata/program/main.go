// Command program is the action of containertest.RunProgram, for GOOS=wasip1.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// request is what the suite asks for.
type request struct {
	Do    string          `json:"do"`
	N     json.RawMessage `json:"n"`
	Lines int             `json:"lines"`
	Bytes int             `json:"bytes"`
}

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var r request
	if err := json.Unmarshal(input, &r); err != nil {
		panic(err)
	}
	switch r.Do {
	case "echo":
		answer(map[string]any{"echo": json.RawMessage(input)})
	case "env":
		env := map[string]string{}
		for _, v := range os.Environ() {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		answer(map[string]any{"env": env, "args": os.Args})
	case "print":
		fmt.Printf("out %s\n", r.N)
		fmt.Fprintf(os.Stderr, "err %s\nno newline", r.N)
		answer(map[string]any{})
	case "lines":
		for range r.Lines {
			fmt.Println(strings.Repeat("x", 1000))
		}
		answer(map[string]any{})
	case "garbage":
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		os.Stdout.Write(append(bytes.Repeat(all, 4), '\n'))
		os.Stderr.Write(bytes.Repeat([]byte{0xff}, 1000000))
		os.Stdout.Write([]byte("\n\n\r\n"))
		answer(map[string]any{})
	case "endless":
		for {
			os.Stdout.Write(bytes.Repeat([]byte("endless "), 8000))
		}
	case "long":
		answer(map[string]any{"long": strings.Repeat("x", r.Bytes)})
	case "spin":
		fmt.Fprintln(os.Stderr, "spinning")
		for n := 0; ; n++ {
			if n < 0 {
				fmt.Println(n)
			}
		}
	case "exit":
		fmt.Fprintln(os.Stderr, "bye")
		os.Exit(3)
	case "hog":
		var hog [][]byte
		for {
			hog = append(hog, bytes.Repeat([]byte("x"), 1000000))
		}
	case "sleep":
		fmt.Fprintln(os.Stderr, "sleeping")
		time.Sleep(1000 * time.Second)
	case "files":
		answer(map[string]any{"found": found()})
	}
}

// found lists what can be opened of the machine.
func found() []string {
	found := []string{}
	for _, path := range []string{"/", ".", "/etc/passwd", "/proc/self/environ", "../../../etc/passwd"} {
		if f, err := os.Open(path); err == nil {
			f.Close()
			found = append(found, path)
		}
		name := path + "/was-here"
		if f, err := os.Create(name); err == nil {
			f.Close()
			found = append(found, name)
		}
	}
	return found
}

func answer(v any) {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(encoded, '\n'))
}
