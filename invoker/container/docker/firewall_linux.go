package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// ruleComment marks the rules of factories.
const ruleComment = "gowhisk-blocked"

// blockNetworks drops what comes from the bridge and goes to one of the networks.
// The rules stand before everything else that looks at a packet, also before
// translations of its address, by which some platforms serve metadata. They stay
// when the factory closes: other factories use the same bridge.
func blockNetworks(ctx context.Context, bridge string, networks []string) error {
	if _, err := net.InterfaceByName(bridge); err != nil {
		return fmt.Errorf("the network's interface %s is not on this machine: %w", bridge, err)
	}
	if os.Geteuid() != 0 {
		return errors.New("only root may change the firewall")
	}
	for _, n := range networks {
		prefix, err := netip.ParsePrefix(n)
		if err != nil {
			return err
		}
		command := "iptables"
		if prefix.Addr().Is6() {
			command = "ip6tables"
		}
		if err := drop(ctx, command, bridge, prefix.String()); err != nil {
			return err
		}
	}
	return removeStale(ctx)
}

// tables are those that see packets before addresses are translated, the first of
// them that the kernel has is used.
var tables = []string{"raw", "mangle"}

func drop(ctx context.Context, command, bridge, destination string) error {
	rule := []string{"PREROUTING", "-i", bridge, "-d", destination, "-m", "comment", "--comment", ruleComment, "-j", "DROP"}
	var errs []error
	for _, table := range tables {
		if _, err := tableCommand(ctx, command, table, append([]string{"-C"}, rule...)); err == nil {
			return nil
		}
		_, err := tableCommand(ctx, command, table, append([]string{"-I"}, rule...))
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeStale removes rules for bridges that are no more.
func removeStale(ctx context.Context) error {
	for _, command := range []string{"iptables", "ip6tables"} {
		for _, table := range tables {
			rules, err := tableCommand(ctx, command, table, []string{"-S", "PREROUTING"})
			if err != nil {
				continue // then there are none of ours in it
			}
			for rule := range strings.Lines(rules) {
				words := strings.Fields(rule)
				i := slices.Index(words, "-i")
				if !slices.Contains(words, ruleComment) || i < 0 || i+1 >= len(words) || words[0] != "-A" {
					continue
				}
				if _, err := net.InterfaceByName(words[i+1]); err == nil {
					continue
				}
				words[0] = "-D"
				if _, err := tableCommand(ctx, command, table, words); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// tableCommand runs iptables, which may have to wait for another one.
func tableCommand(ctx context.Context, command, table string, arguments []string) (string, error) {
	path, err := exec.LookPath(command)
	if err != nil {
		path = "/usr/sbin/" + command // not on everybody's path
	}
	c := exec.CommandContext(ctx, path, append([]string{"-w", "5", "-t", table}, arguments...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
