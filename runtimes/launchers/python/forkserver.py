"""Forks launchers into containers: a fork takes a few ms, a start 150.

The container factory starts one per interpreter, as root, and is the only one to
talk to it, over a socket on descriptor 3 that keeps messages apart. Each request
is one message with descriptors (the first eight are fixed, see confine.py) and is
answered by the pid of the launcher or by an error text.

No user code runs here. Requests are parsed in the child alone and wiped here, so
that nothing of one container is left in the memory of the next.
"""

import array
import gc
import os
import signal
import socket
import sys

CONTROL = 3
MAX_REQUEST = 1 << 20
MAX_DESCRIPTORS = 64
PID_NAMESPACE = 4  # position among the descriptors


def main():
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import confine
    import launcher

    launcher.preimport()
    control = socket.socket(fileno=CONTROL)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    buffer = bytearray(MAX_REQUEST)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps launchers
    gc.collect()
    gc.freeze()  # forks then share these objects' memory for longer
    control.send(b"ready")
    while True:
        size, fds = receive(control, buffer)
        if size == 0:
            return
        try:
            confine.enter_pid_namespace(fds[PID_NAMESPACE])
            try:
                pid = os.fork()
                if pid == 0:
                    become_launcher(confine, launcher, buffer, size, fds)
            finally:
                confine.enter_pid_namespace(own)
            answer = b"%d" % pid
        except Exception as e:
            answer = ("fork: %s" % e).encode()[:512]
        buffer[:size] = bytes(size)
        for fd in fds:
            os.close(fd)
        control.send(answer)


def receive(control, buffer):
    """Returns the size of the next request, 0 at the end, and its descriptors."""
    fds = array.array("i")
    size, ancillary, _, _ = control.recvmsg_into([buffer], socket.CMSG_LEN(MAX_DESCRIPTORS * fds.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return size, list(fds)


def become_launcher(confine, launcher, buffer, size, fds):
    """Runs in the child and never returns."""
    status = 1
    try:
        import json

        request = bytes(buffer[:size])
        buffer[:] = b""
        spec = json.loads(request)
        del request
        confine.enter(spec, fds)
        del spec
        sys.argv = [""]
        renew_streams()
        sys.modules["__main__"] = launcher
        launcher.serve(0, 3)
        status = 0
    except BaseException as e:
        # Standard error is the container's log by now, or goes nowhere.
        try:
            os.write(2, ("the forked launcher failed: %r\n" % e).encode())
        except OSError:
            pass
    finally:
        os._exit(status)


def renew_streams():
    """Makes the standard streams anew: they remember what kind of file they were."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = open(fd, mode, encoding="utf-8", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


if __name__ == "__main__":
    main()
