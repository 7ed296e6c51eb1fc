package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/runtimes"
)

// probe finds the strongest level that works by confining a process at each. It
// returns the reasons why stronger ones do not.
func (f *Factory) probe(ctx context.Context) (Level, []string, error) {
	candidates := levels()
	if forced := f.config.Level; forced != "" {
		if !slices.Contains(candidates, forced) {
			return "", nil, fmt.Errorf("isolation level %q is not possible here; choose from %q", forced, candidates)
		}
		candidates = []Level{forced}
	}
	var reasons []string
	for _, level := range candidates {
		err := f.try(ctx, level, isRoot())
		if err == nil {
			f.ownUsers = isRoot()
			return level, reasons, nil
		}
		if level == LevelPlain && isRoot() {
			// The root of some user namespaces can become nobody else.
			reasons = append(reasons, fmt.Sprintf("users for containers: %v", err))
			if err = f.try(ctx, level, false); err == nil {
				return level, reasons, nil
			}
		}
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
		reasons = append(reasons, fmt.Sprintf("level %q: %v", level, err))
	}
	return "", nil, fmt.Errorf("no process container can be started with %q: %s", f.config.Executable, strings.Join(reasons, "; "))
}

// try starts a process that confines itself at a level and ends.
func (f *Factory) try(ctx context.Context, level Level, ownUser bool) error {
	dir := filepath.Join(f.boxes(), "probe-"+newKey())
	if err := makeBox(dir); err != nil {
		return err
	}
	spec := f.newBoxSpec(level, dir, runtimes.Interpreter{})
	spec.Probe, spec.Scratch = true, filepath.Join(dir, "s")
	if ownUser {
		spec.UID = f.config.FirstUID
		if err := giveScratch(dir, spec.UID); err != nil {
			return err
		}
	}
	if level == LevelPlain {
		spec.Landlock = newLandlockPolicy(landlockVersion(), spec.Show, []string{spec.Scratch})
	}
	err := f.confineOnce(ctx, spec)
	return errors.Join(err, removeTree(dir))
}

// confineOnce runs a probe and returns what it says.
func (f *Factory) confineOnce(ctx context.Context, spec *boxSpec) error {
	p, err := openPipes(false)
	if err != nil {
		return err
	}
	defer p.close()
	command := f.command(spec.Level)
	command.ExtraFiles = []*os.File{p.gate.read, p.status.write}
	if err := f.spawner.start(command); err != nil {
		return err
	}
	closeFile(&p.gate.read)
	closeFile(&p.status.write)
	stop := context.AfterFunc(ctx, func() { _ = p.status.read.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	writeErr := json.NewEncoder(p.gate.write).Encode(spec)
	line, readErr := bufio.NewReader(p.status.read).ReadString('\n')
	closeFile(&p.gate.write) // ends it, if it is not at its end already
	waitErr := command.Wait()
	if line == "confined\n" {
		return nil
	}
	if text, found := strings.CutPrefix(strings.TrimSpace(line), "error "); found {
		return errors.New(text)
	}
	return errors.Join(writeErr, readErr, waitErr)
}
