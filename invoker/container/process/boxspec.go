package process

// Level is how far a container is kept apart from its surroundings.
type Level string

// The levels, strongest first; see the package comment.
const (
	LevelRoot  Level = "root"
	LevelUser  Level = "user"
	LevelPlain Level = "plain"
)

// Descriptors of a container process beside its log streams.
const (
	gateFD     = 3 // the factory's box specification, then open for its life
	statusFD   = 4 // lines for the factory: "confined", "ready", "error …"
	launcherIn = 5 // requests to a launcher that the fork server made
	launcherUp = 6 // its answers
)

// Paths as a container at LevelRoot and LevelUser sees them.
const (
	boxDir  = "/action"      // all that it may write to, one bounded file system
	boxWork = "/action/work" // the proxy's scratch directory
	boxRun  = "/action/run"  // the proxy's socket
	boxTmp  = "/action/tmp"  // also at /tmp
	// boxLaunchers shows the launchers, wherever the state directory is.
	boxLaunchers = "/launchers"
	socketBox    = "proxy.sock"
)

// boxSpec tells a container process how to confine itself and what to run.
type boxSpec struct {
	Level Level
	// Root is an empty directory, the place for the new root file system.
	Root string
	// Show lists paths that are visible, read-only, at the same place.
	Show []string
	// Launchers is where they are installed.
	Launchers string
	// Scratch is the directory on disk that a container at LevelPlain writes to.
	Scratch string
	// ScratchBytes bounds the file system at boxDir, and any file's size.
	ScratchBytes int64
	// UID is the user and group to become, 0 for none. Only root can.
	UID int
	// Processes bounds the user's processes and threads, 0 does not.
	Processes uint64
	OpenFiles uint64
	Landlock  landlockPolicy
	Env       []string
	// Proxy is the command line of the action proxy.
	Proxy []string
	// Probe confines and ends: it tells whether the level works.
	Probe bool
}

// landlockPolicy is a Landlock ruleset in numbers, so that Go and Python enforce
// the same one. The zero value enforces none.
type landlockPolicy struct {
	Handled uint64         `json:"handled"`
	Scoped  uint64         `json:"scoped"`
	Rules   []landlockRule `json:"rules"`
}

// landlockRule allows access to everything below a path.
type landlockRule struct {
	Path   string `json:"path"`
	Access uint64 `json:"access"`
}
