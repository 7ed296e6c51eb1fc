"""Locks a forked launcher into its container.

The descriptors that come with a request, in this order: the launcher's standard
input, its descriptor 3, standard output, standard error; the container's pid,
mount, ipc and uts namespaces; then the doors of its control groups, files into
which a process writes 0 to move itself in.

What is done here is what the container process has done to itself before (see
process/confine_linux.go); the numbers of the Landlock policy come from there.
"""

import ctypes
import os
import resource
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000

PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

# These have the same numbers on all architectures.
SYS_LANDLOCK_CREATE_RULESET = 444
SYS_LANDLOCK_ADD_RULE = 445
SYS_LANDLOCK_RESTRICT_SELF = 446
LANDLOCK_RULE_PATH_BENEATH = 1

libc = ctypes.CDLL(None, use_errno=True)


class RulesetAttr(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (what, os.strerror(number)))
    return result


def enter_pid_namespace(fd):
    """Children that are forked from now on live in the namespace."""
    check(libc.setns(fd, CLONE_NEWPID), "enter the pid namespace")


def enter(spec, fds):
    """Makes this fresh fork a process of the container that spec describes."""
    for door in fds[8:]:
        os.write(door, b"0")
    check(libc.setns(fds[6], CLONE_NEWIPC), "enter the ipc namespace")
    check(libc.setns(fds[7], CLONE_NEWUTS), "enter the uts namespace")
    check(libc.setns(fds[5], CLONE_NEWNS), "enter the mount namespace")
    # All descriptors received are above 3, the control socket's number.
    for target, fd in ((0, fds[0]), (3, fds[1]), (1, fds[2]), (2, fds[3])):
        os.dup2(fd, target)
    os.closerange(4, max(fds) + 64)
    os.setsid()
    os.umask(0o022)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for name, value in spec["limits"].items():
        limit(getattr(resource, name), value)
    drop_privileges(spec["uid"])
    restrict(spec["landlock"])
    os.environ.clear()
    os.environ.update(spec["env"])
    os.chdir(spec["dir"])


def limit(which, value):
    _, most = resource.getrlimit(which)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(which, (value, value))


def drop_privileges(uid):
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break  # this kernel knows no more
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)  # which clears the capabilities
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")


def restrict(policy):
    """Enforces a Landlock policy; one that handles nothing is none."""
    if not policy["handled"]:
        return
    attr = RulesetAttr(policy["handled"], 0, policy["scoped"])
    # Kernels before these fields were added take the shorter structure.
    size = 24 if policy["scoped"] else 8
    ruleset = check(
        libc.syscall(SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), 0),
        "create the Landlock ruleset")
    for rule in policy["rules"]:
        try:
            fd = os.open(rule["path"], os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        beneath = PathBeneathAttr(rule["access"], fd)
        check(
            libc.syscall(SYS_LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(beneath), 0),
            "allow %s in Landlock" % rule["path"])
        os.close(fd)
    check(libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0), "enforce Landlock")
    os.close(ruleset)
