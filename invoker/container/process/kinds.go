package process

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/runtimes"
	"go.uber.org/zap"
)

// skeletonImages are what process containers can stand in for: they run an
// executable that comes with the action (openwhisk-invoker.md 1.9).
var skeletonImages = []string{"openwhisk/dockerskeleton", "gowhisk/dockerskeleton"}

// kinds says which interpreter runs a kind.
type kinds struct {
	interpreters []runtimes.Interpreter
	log          *zap.Logger
	logged       sync.Map // kinds whose replacement was logged
}

// resolve returns what runs a kind. A kind whose version is not installed is run
// by the nearest version of the same family, which is logged once. Errors are
// *container.StartError.
func (k *kinds) resolve(kind, image string) (runtimes.Interpreter, error) {
	if kind == "blackbox" {
		if !isSkeleton(image) {
			return runtimes.Interpreter{}, &container.StartError{Text: fmt.Sprintf("Failed to pull container image '%s'.", image)}
		}
		return runtimes.Interpreter{Family: kind, Kind: kind}, nil
	}
	family, version, _ := strings.Cut(kind, ":")
	if family == "native" || family == "shell" {
		return runtimes.Interpreter{Family: family, Kind: kind, Version: version}, nil
	}
	var near []runtimes.Interpreter
	for _, i := range k.interpreters {
		if i.Kind == kind {
			return i, nil
		}
		if i.Family == family {
			near = append(near, i)
		}
	}
	if len(near) == 0 {
		return runtimes.Interpreter{}, &container.StartError{Text: fmt.Sprintf("The runtime '%s' is not available on this server.", kind)}
	}
	nearest := slices.MinFunc(near, func(a, b runtimes.Interpreter) int { return closer(version, a.Kind, b.Kind) })
	if _, again := k.logged.LoadOrStore(kind, nil); !again && version != "default" {
		k.log.Warn("runtime is not installed, the nearest version stands in",
			zap.String("kind", kind), zap.String("used", nearest.Kind), zap.String("path", nearest.Path))
	}
	return nearest, nil
}

// closer compares two kinds by their distance to the wanted version, number by
// number; of equally near ones the newer wins, and without a wanted version the
// newest.
func closer(wanted, a, b string) int {
	want, na, nb := numbers(wanted), numbers(version(a)), numbers(version(b))
	for i := range max(len(want), len(na), len(nb)) {
		if i < len(want) {
			if c := cmp.Compare(distance(want[i], at(na, i)), distance(want[i], at(nb, i))); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(at(nb, i), at(na, i)); c != 0 {
			return c
		}
	}
	return 0
}

func version(kind string) string {
	_, v, _ := strings.Cut(kind, ":")
	return v
}

// numbers reads "3.11" as 3, 11 and stops at what is no number.
func numbers(v string) []int {
	var ns []int
	for part := range strings.SplitSeq(v, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		ns = append(ns, n)
	}
	return ns
}

func at(ns []int, i int) int {
	if i < len(ns) {
		return ns[i]
	}
	return 0
}

func distance(a, b int) int { return max(a-b, b-a) }

// isSkeleton reports whether an image is a skeleton, of whatever registry and
// tag.
func isSkeleton(image string) bool {
	if slash := strings.LastIndexByte(image, '/'); strings.LastIndexByte(image, ':') > slash {
		image = image[:strings.LastIndexByte(image, ':')]
	}
	return slices.ContainsFunc(skeletonImages, func(s string) bool { return image == s || strings.HasSuffix(image, "/"+s) })
}

// systemPaths are what programs of a Unix system need to run. Of /etc only what
// names, time zones, certificates and the dynamic linker need is shown.
var systemPaths = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/sys/devices/system/cpu",
	"/etc/alternatives", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/gai.conf", "/etc/group",
	"/etc/host.conf", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
	"/etc/localtime", "/etc/magic", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/os-release",
	"/etc/passwd", "/etc/php", "/etc/pki", "/etc/protocols", "/etc/resolv.conf", "/etc/services", "/etc/ssl", "/etc/timezone",
}

// interpreterPaths are the paths that an interpreter needs beside systemPaths:
// its installation, when it lives somewhere of its own such as a version
// manager's directory.
func interpreterPaths(i runtimes.Interpreter) []string {
	if i.Family == "java" { // Debian keeps what belongs below a Java's lib elsewhere
		settings, _ := filepath.Glob("/etc/java-*-openjdk") // fails for bad patterns only
		return append(settings, installationPaths(i)...)
	}
	return installationPaths(i)
}

func installationPaths(i runtimes.Interpreter) []string {
	if i.Path == "" || slices.ContainsFunc(systemPaths, func(p string) bool { return within(i.Path, p) }) {
		return nil
	}
	// <prefix>/bin/<name> with <prefix>/lib is an installation; anything else
	// could be somebody's home directory.
	if bin := filepath.Dir(i.Path); filepath.Base(bin) == "bin" {
		prefix := filepath.Dir(bin)
		if isDir(filepath.Join(prefix, "lib")) && !isHome(prefix) {
			return []string{prefix}
		}
	}
	return []string{i.Path}
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
