package docker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	engine "github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/docker/go-units"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// runtimePort is where runtimes listen (openwhisk-invoker.md 1).
const runtimePort = nat.Port("8080/tcp")

// engineConfig describes the container to the engine.
func (c *Container) engineConfig(n network) (*engine.Config, *engine.HostConfig) {
	s := c.factory.config.Settings
	config := &engine.Config{
		Image: c.image.id,
		Env:   c.environment(),
		User:  s.User,
		Labels: map[string]string{
			ownerLabel: c.factory.owner, keyLabel: c.key,
			directoryLabel: c.factory.config.Dir, hostLabel: c.factory.host, invokerLabel: c.factory.config.Owner,
			kindLabel: c.spec.Kind, nameLabel: c.spec.Name, imageLabel: c.spec.Image,
		},
	}
	no := false
	host := &engine.HostConfig{
		NetworkMode:   engine.NetworkMode(n.id),
		RestartPolicy: engine.RestartPolicy{Name: engine.RestartPolicyDisabled},
		LogConfig:     engine.LogConfig{Type: s.LogDriver, Config: s.logOptions()},
		DNS:           s.DNS,
		DNSSearch:     s.DNSSearch,
		DNSOptions:    s.DNSOptions,
		ExtraHosts:    s.ExtraHosts,
		CapDrop:       []string{"ALL"},
		CapAdd:        s.CapAdd,
		SecurityOpt:   append([]string{"no-new-privileges"}, s.SecurityOpts...),
		IpcMode:       engine.IPCModePrivate,
		ShmSize:       max(c.spec.Memory/16, 1).Bytes(),
		Runtime:       s.Runtime,
		Init:          &no, // the runtime is the first process, and reaps
		Resources:     c.resources(),
	}
	if s.StorageSize != "" {
		host.StorageOpt = map[string]string{"size": s.StorageSize}
	}
	if len(c.image.scratch) > 0 {
		host.ReadonlyRootfs = true
		host.Tmpfs = c.scratch()
	}
	if !n.isDirect {
		config.ExposedPorts = nat.PortSet{runtimePort: {}}
		host.PortBindings = nat.PortMap{runtimePort: {{HostIP: loopback}}}
	}
	return config, host
}

// environment is the container's at start.
func (c *Container) environment() []string {
	env := append([]string(nil), c.spec.Env...)
	if c.spec.Concurrency > 1 {
		env = append(env, "__OW_ALLOW_CONCURRENT=true")
	}
	return env
}

// resources are the container's limits (openwhisk-invoker.md 2.2, 4.1).
func (c *Container) resources() engine.Resources {
	config := c.factory.config
	memory := c.spec.Memory
	return engine.Resources{
		Memory:       memory.Bytes(),
		MemorySwap:   memory.Bytes(), // memory and swap together: no swap
		CPUShares:    cpuShares(config.PoolMemory, memory),
		NanoCPUs:     nanoCPUs(config.CPUs, config.PoolMemory, memory),
		CgroupParent: config.CgroupParent,
		PidsLimit:    &config.Processes,
		Ulimits:      []*units.Ulimit{{Name: "nofile", Soft: config.OpenFiles, Hard: config.OpenFiles}},
	}
}

// cpuShares is a container's weight in the competition for CPUs. The division of
// the memories is one of whole numbers, as OpenWhisk's.
func cpuShares(pool, memory entity.Megabytes) int64 {
	if pool <= 0 {
		return max(int64(memory)*4, 2)
	}
	return max(1024/max(int64(pool/max(memory, 1)), 1), 2)
}

// nanoCPUs is a container's part of cpus, in billionths of a CPU, or 0 for no
// limit. It is rounded to five places as OpenWhisk's.
func nanoCPUs(cpus float64, pool, memory entity.Megabytes) int64 {
	if cpus <= 0 || pool <= 0 {
		return 0
	}
	const places = 1e5
	part := cpus / float64(max(int64(pool/max(memory, 1)), 1))
	return max(int64(part*places+0.5)*(1e9/places), 1e9/100)
}

// minScratch is the room that a writable directory has at least.
const minScratch = entity.Megabytes(16)

// scratch describes the directories that a container with a read-only root may
// write to: file systems in memory, which counts as the container's.
func (c *Container) scratch() map[string]string {
	room := entity.Megabytes(c.factory.config.Scratch)
	if room == 0 {
		room = c.spec.Memory / 2
	}
	room = max(room/entity.Megabytes(len(c.image.scratch)), minScratch)
	// Actions bring programs. The engine may give a directory the mode that it has in
	// the image, so that its user must own it.
	options := fmt.Sprintf("rw,exec,nosuid,nodev,mode=1777,size=%dm,nr_inodes=%d", room, int64(room)*256) +
		ownership(or(c.factory.config.User, c.image.user))
	mounts := make(map[string]string, len(c.image.scratch))
	for _, directory := range c.image.scratch {
		mounts[directory] = options
	}
	return mounts
}

// ownership makes a file system belong to a user given as uid or uid:gid. Of one
// with a name only the image knows the number.
func ownership(user string) string {
	uid, gid, hasGroup := strings.Cut(user, ":")
	options := ""
	if _, err := strconv.ParseUint(uid, 10, 31); err == nil {
		options += ",uid=" + uid
	}
	if _, err := strconv.ParseUint(gid, 10, 31); err == nil && hasGroup {
		options += ",gid=" + gid
	}
	return options
}

// scratchDirectories reads the label of an image. What is no absolute path is left
// out, and so is the root itself.
func scratchDirectories(label string) []string {
	var directories []string
	for _, d := range strings.Fields(label) {
		if strings.HasPrefix(d, "/") && strings.Trim(d, "/") != "" {
			directories = append(directories, d)
		}
	}
	return directories
}

// publishedPort is the port of the loopback interface that leads to the runtime.
func publishedPort(ports nat.PortMap) (uint16, error) {
	for _, b := range ports[runtimePort] {
		port, err := strconv.ParseUint(b.HostPort, 10, 16)
		if err == nil && port > 0 {
			return uint16(port), nil
		}
	}
	return 0, errors.New("the engine published no port for the container")
}
