package actionproxy

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// options is the parsed command line. Every flag but the descriptors has an
// environment variable for images, which the flag overrides; the variables are
// not passed on to actions.
type options struct {
	kind        string // such as nodejs:20
	listen      string // unix:PATH or tcp:HOST:PORT
	dir         string // scratch directory: code goes below it, actions run in it
	builtIn     string // where an image has code of its own, for blackbox
	launchers   string // where runtimes.Install wrote the launchers
	interpreter string // the language's binary; by default looked up on PATH
	concurrent  bool   // several /run at once, where the runtime can
	// sentinelMark follows every log sentinel, so that user code cannot print one.
	sentinelMark string
	readyFD      int // gets "ready\n" when /init is taken; -1: none
	launcherFDs  descriptors
	relay        *relay // nil: user code writes to the log streams itself
	prepare      bool   // only prepare the launchers, for the build of an image
}

// descriptors are the ends of an already started launcher's pipes.
type descriptors struct {
	in, out int // requests go to in, answers come from out
	set     bool
}

func (d *descriptors) String() string { return fmt.Sprintf("%d,%d", d.in, d.out) }

// Set parses IN,OUT.
func (d *descriptors) Set(text string) error {
	in, out, ok := strings.Cut(text, ",")
	var errIn, errOut error
	d.in, errIn = strconv.Atoi(in)
	d.out, errOut = strconv.Atoi(out)
	if !ok || errIn != nil || errOut != nil || d.in < 0 || d.out < 0 {
		return errors.New("want two descriptor numbers, IN,OUT")
	}
	d.set = true
	return nil
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("actionproxy", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.kind, "kind", takeEnv("GOWHISK_KIND", ""), "runtime kind, such as nodejs:20, php:8.2, native:1, shell:1 or blackbox")
	f.StringVar(&o.listen, "listen", takeEnv("GOWHISK_LISTEN", "tcp::8080"), "unix:PATH or tcp:HOST:PORT")
	f.StringVar(&o.dir, "dir", takeEnv("GOWHISK_DIR", "action"), "scratch directory; actions run in it")
	f.StringVar(&o.builtIn, "built-in", takeEnv("GOWHISK_BUILT_IN", ""), "directory of code that is part of the image, for blackbox; by default --dir")
	f.StringVar(&o.launchers, "launchers", takeEnv("GOWHISK_LAUNCHERS", ""), "directory of the installed launchers; by default they are installed below --dir")
	f.StringVar(&o.interpreter, "interpreter", takeEnv("GOWHISK_INTERPRETER", ""), "the language's binary; by default the one on PATH")
	// The variable's name is the contract's (openwhisk-invoker.md 1.4), so actions keep it.
	f.BoolVar(&o.concurrent, "concurrent", os.Getenv("__OW_ALLOW_CONCURRENT") == "true", "take several /run at once, where the runtime can")
	f.IntVar(&o.readyFD, "ready-fd", -1, "descriptor that gets a line when /init is taken")
	f.StringVar(&o.sentinelMark, "sentinel-mark", "", "text behind the log sentinels, for a reader that expects it; user code must not know it")
	f.Var(&o.launcherFDs, "launcher-fds", "IN,OUT: descriptors of a launcher that was started already")
	f.BoolVar(&o.prepare, "prepare", false, "compile what --launchers lacks for the kind, and end")
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.kind == "" {
		return options{}, errors.New("no kind given; use --kind or GOWHISK_KIND")
	}
	if _, _, err := splitAddress(o.listen); err != nil {
		return options{}, err
	}
	for _, fd := range []int{o.readyFD, o.launcherFDs.in, o.launcherFDs.out} {
		if fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return o, nil
}

// takeEnv reads a variable and removes it, so that children do not see it.
func takeEnv(name, otherwise string) string {
	value, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	_ = os.Unsetenv(name)
	return value
}

// family is the part of the kind before the colon.
func (o options) family() string {
	family, _, _ := strings.Cut(o.kind, ":")
	return family
}

// announceReady tells who started the proxy that /init is taken.
func (o options) announceReady() error {
	if o.readyFD < 0 {
		return nil
	}
	f := os.NewFile(uintptr(o.readyFD), "ready")
	if f == nil {
		return fmt.Errorf("--ready-fd %d is not an open descriptor", o.readyFD)
	}
	_, err := f.WriteString("ready\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("announce readiness: %w", err)
	}
	return nil
}

func splitAddress(address string) (network, where string, err error) {
	network, where, _ = strings.Cut(address, ":")
	if (network != "unix" && network != "tcp") || where == "" {
		return "", "", fmt.Errorf("cannot listen on %q; want unix:PATH or tcp:HOST:PORT", address)
	}
	return network, where, nil
}
