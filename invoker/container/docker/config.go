package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Config of a Factory. The zero value of every field but Dir and Owner has a
// meaning.
type Config struct {
	Settings

	// Dir is the state directory, private to this factory. It is created.
	Dir string
	// Owner names the invoker in the labels of its containers.
	Owner string
	// PoolMemory is the memory of all containers together; with it CPU shares are
	// given in proportion (openwhisk-invoker.md 2.2). By default 256 MB have a
	// weight of 1024.
	PoolMemory entity.Megabytes
	// ParallelStarts bounds how many containers start at once, by default one per
	// CPU and at least 2.
	ParallelStarts int
	// MaxLogs is the largest log limit of any action, by default 10 MB: what is
	// kept of a container's output until it is collected.
	MaxLogs entity.Megabytes
	// IsManagedImage says of a blackbox action's image that it is one of the
	// platform's, as the runtimes manifest does. By default none is.
	IsManagedImage func(image string) bool
	// Registry takes the factory's metrics, by default none does.
	Registry prometheus.Registerer
	// Log, by default none.
	Log *zap.Logger
}

// Settings are what operators choose. Programs take them into their configuration
// with the tag `koanf:",squash"`, and DefaultSettings into its defaults.
type Settings struct {
	Host         string        `koanf:"docker-host" usage:"address of the Docker engine, such as unix:///var/run/docker.sock; empty takes DOCKER_HOST, or the socket"`
	Network      string        `koanf:"docker-network" usage:"network of the containers; the default one is created and keeps containers from each other"`
	Subnet       string        `koanf:"docker-subnet" usage:"addresses of the network when it is created, such as 10.200.0.0/16; empty lets the engine choose"`
	Publish      string        `koanf:"docker-publish" usage:"reach containers through ports published on 127.0.0.1: auto, always or never"`
	Blocked      []string      `koanf:"docker-blocked-networks" usage:"networks that containers cannot reach beside their own neighbours, by rules of iptables that need root; default 169.254.0.0/16, where clouds have their metadata"`
	DNS          []string      `koanf:"docker-dns" usage:"name servers of the containers"`
	DNSSearch    []string      `koanf:"docker-dns-search" usage:"domains in which containers look names up"`
	DNSOptions   []string      `koanf:"docker-dns-options" usage:"options of the containers' resolver"`
	ExtraHosts   []string      `koanf:"docker-extra-hosts" usage:"entries of the containers' /etc/hosts, as name:address"`
	User         string        `koanf:"docker-user" usage:"user of the containers' processes, as uid or uid:gid; empty takes the image's"`
	CapAdd       []string      `koanf:"docker-cap-add" usage:"capabilities that containers keep; all others are dropped"`
	SecurityOpts []string      `koanf:"docker-security-opts" usage:"more security options of the engine, such as seccomp=FILE or apparmor=PROFILE"`
	Runtime      string        `koanf:"docker-runtime" usage:"the engine's low-level runtime, such as runsc; empty takes its default"`
	CgroupParent string        `koanf:"docker-cgroup-parent" usage:"control group of all containers; empty takes the engine's"`
	Processes    int64         `koanf:"docker-pids" usage:"processes and threads of a container"`
	OpenFiles    int64         `koanf:"docker-open-files" usage:"open files of a process"`
	CPUs         float64       `koanf:"docker-cpus" usage:"CPUs that containers share in proportion to their memory, as a hard limit; 0 sets none"`
	Scratch      int           `koanf:"docker-scratch" usage:"MB of a container's writable directories together, where its image has a read-only root; they count as memory; 0 takes half of the action's memory"`
	StorageSize  string        `koanf:"docker-storage-size" usage:"bound of a writable root, such as 1G, where the engine's storage can do that; empty sets none"`
	LogDriver    string        `koanf:"docker-log-driver" usage:"the engine's log driver; with other ones than json-file, local and journald activations have no logs"`
	LogOptions   []string      `koanf:"docker-log-opts" usage:"options of the log driver, as key=value"`
	StartTimeout time.Duration `koanf:"docker-start-timeout" usage:"how long the engine may take to start a container"`
	PullTimeout  time.Duration `koanf:"docker-pull-timeout" usage:"how long the engine may take to pull an image"`
	Pull         PullPolicy    `koanf:"docker-pull" usage:"when images of blackbox actions are pulled: always (again when older than the pull time to live), missing or never"`
	PullManaged  PullPolicy    `koanf:"docker-pull-managed" usage:"the same for the images of the runtimes manifest"`
	PullTTL      time.Duration `koanf:"docker-pull-ttl" usage:"how long a pulled image is used before the registry is asked for a newer one"`
	UserRegistry string        `koanf:"docker-user-registry" usage:"registry of images of blackbox actions that name none"`
	Credentials  string        `koanf:"docker-registry-credentials" usage:"file with registry credentials, for everybody and by namespace; it is read again when it changes"`
}

// PullPolicy says when an image is pulled.
type PullPolicy = string

// The policies.
const (
	// PullAlways pulls an image that was not pulled within the time to live. When
	// that fails, an image that is there is used, unless its tag is latest.
	PullAlways PullPolicy = "always"
	// PullMissing pulls an image that the engine does not have.
	PullMissing PullPolicy = "missing"
	// PullNever leaves it to the operator.
	PullNever PullPolicy = "never"
)

// Values of Settings.Publish.
const (
	publishAuto   = "auto"
	publishAlways = "always"
	publishNever  = "never"
)

// DefaultNetwork is the name of the network that a factory makes for itself.
const DefaultNetwork = "gowhisk-actions"

// DefaultSettings is what holds where an operator says nothing.
func DefaultSettings() Settings {
	return Settings{
		Network: DefaultNetwork, Publish: publishAuto, Blocked: []string{"169.254.0.0/16"},
		Processes: 1024, OpenFiles: 1024, // openwhisk-invoker.md 4.1
		LogDriver:    "json-file",
		StartTimeout: time.Minute, PullTimeout: 10 * time.Minute, // 4.1
		Pull: PullAlways, PullManaged: PullNever, PullTTL: 5 * time.Minute,
	}
}

// withDefaults returns the configuration with everything filled in, or says what
// is wrong with it.
func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" || c.Owner == "" {
		return c, errors.New("containers in Docker need a state directory and the name of their owner")
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, err
	}
	d := DefaultSettings()
	c.Network = or(c.Network, d.Network)
	c.Publish = or(c.Publish, d.Publish)
	if c.Blocked == nil {
		c.Blocked = d.Blocked
	}
	c.Processes = or(c.Processes, d.Processes)
	c.OpenFiles = or(c.OpenFiles, d.OpenFiles)
	c.LogDriver = or(c.LogDriver, d.LogDriver)
	c.StartTimeout = or(c.StartTimeout, d.StartTimeout)
	c.PullTimeout = or(c.PullTimeout, d.PullTimeout)
	c.Pull = or(c.Pull, d.Pull)
	c.PullManaged = or(c.PullManaged, d.PullManaged)
	c.PullTTL = or(c.PullTTL, d.PullTTL)
	c.ParallelStarts = or(c.ParallelStarts, max(2, runtime.NumCPU()))
	c.MaxLogs = or(c.MaxLogs, 10)
	if c.LogDriver == d.LogDriver && len(c.LogOptions) == 0 {
		// More than the largest log of an activation, so that a reader that falls
		// behind loses nothing that counts.
		c.LogOptions = []string{fmt.Sprintf("max-size=%dm", 2*c.MaxLogs), "max-file=2"}
	}
	if c.SecurityOpts, err = readSecurityOpts(c.SecurityOpts); err != nil {
		return c, err
	}
	if c.IsManagedImage == nil {
		c.IsManagedImage = func(string) bool { return false }
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c, c.Check()
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Check returns an error that says which setting is wrong. Empty settings are
// right.
func (s Settings) Check() error {
	if slices.Contains([]string{"host", "none", "default"}, s.Network) || strings.Contains(s.Network, ":") {
		return fmt.Errorf("network %q: containers need a bridge network of the engine", s.Network)
	}
	if s.Publish != "" && !slices.Contains([]string{publishAuto, publishAlways, publishNever}, s.Publish) {
		return fmt.Errorf("publish %q: want auto, always or never", s.Publish)
	}
	for _, p := range []PullPolicy{s.Pull, s.PullManaged} {
		if p != "" && !slices.Contains([]PullPolicy{PullAlways, PullMissing, PullNever}, p) {
			return fmt.Errorf("pull policy %q: want always, missing or never", p)
		}
	}
	for _, n := range append(slices.Clone(s.Blocked), s.Subnet) {
		if _, err := netip.ParsePrefix(n); err != nil && n != "" {
			return fmt.Errorf("network addresses %q: want them as 10.200.0.0/16", n)
		}
	}
	for _, o := range s.LogOptions {
		if !strings.Contains(o, "=") {
			return fmt.Errorf("log option %q: want key=value", o)
		}
	}
	for _, n := range []int64{s.Processes, s.OpenFiles, int64(s.Scratch)} {
		if n < 0 {
			return fmt.Errorf("a limit of %d makes no sense", n)
		}
	}
	if s.CPUs < 0 || s.PullTTL < 0 || s.StartTimeout < 0 || s.PullTimeout < 0 {
		return errors.New("CPUs and times cannot be negative")
	}
	return nil
}

// readSecurityOpts replaces the names of files with seccomp profiles by what is in
// them, as the engine's API wants it.
func readSecurityOpts(options []string) ([]string, error) {
	read := slices.Clone(options)
	for i, o := range read {
		path, is := strings.CutPrefix(o, "seccomp=")
		if !is || slices.Contains([]string{"unconfined", "builtin"}, path) {
			continue
		}
		profile, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the seccomp profile: %w", err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, profile); err != nil {
			return nil, fmt.Errorf("the seccomp profile %s: %w", path, err)
		}
		read[i] = "seccomp=" + compact.String()
	}
	return read, nil
}

// hasReadableLogs: the engine gives back what it logs.
func (s Settings) hasReadableLogs() bool {
	return slices.Contains([]string{"json-file", "local", "journald"}, s.LogDriver)
}

// logOptions are the log options as the engine wants them.
func (s Settings) logOptions() map[string]string {
	options := make(map[string]string, len(s.LogOptions))
	for _, o := range s.LogOptions {
		key, value, _ := strings.Cut(o, "=")
		options[key] = value
	}
	return options
}
