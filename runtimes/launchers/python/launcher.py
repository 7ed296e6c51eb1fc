"""The Python launcher: runs an action's code for the action proxy.

Protocol, one line each way (see runtimes/README.md):

  in   init <json>            {"main", "dir", "code"?, "env"}; archive in dir when there is no code
       run <id> <json>        the body of POST /run, untouched
  out  ready                  once, when this process takes requests
       <id> <status> <json>   an HTTP answer; init has the id 0

It is a program (requests on descriptor 0, answers on 3) and a module: a fork
server calls preimport() once and serve(0, 3) in each child that it forks.
Rules of the contract: openwhisk-invoker.md 1.6, 1.8 and 1.9. The proxy writes
the log sentinels, so everything printed must have left this process before the
answer does.
"""

import json
import os
import sys

READ_SIZE = 65536

# What most actions import: loaded before the first request, so that an action
# does not wait for it.
COMMON = (
    "base64", "collections", "contextlib", "copy", "csv", "datetime", "decimal",
    "email.message", "functools", "hashlib", "hmac", "html", "http.client",
    "inspect", "io", "itertools", "linecache", "logging", "math", "mimetypes",
    "pathlib", "queue", "random", "re", "secrets", "select", "shutil", "signal",
    "socket", "ssl", "string", "struct", "subprocess", "tempfile", "textwrap",
    "threading", "time", "traceback", "types", "typing", "urllib.error",
    "urllib.parse", "urllib.request", "uuid", "zlib",
)


def preimport():
    """Loads the common modules; a missing one is no error."""
    import importlib

    for name in COMMON:
        try:
            importlib.import_module(name)
        except ImportError:
            pass


def serve(in_fd, out_fd):
    """Answers requests until the proxy closes in_fd, then returns."""
    Launcher(in_fd, out_fd).serve()


class Launcher:
    def __init__(self, in_fd, out_fd):
        # The user's code must not read requests or write answers by accident:
        # both move to private descriptors, which children do not inherit.
        self.requests = os.dup(in_fd)
        self.answers = os.dup(out_fd)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, in_fd)
        if null != in_fd:
            os.close(null)
        if out_fd > 2:
            os.close(out_fd)
        # Whole lines leave at once, so that a killed action's logs are not lost.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self.main = None
        self.stopped = False

    def serve(self):
        self.send(b"ready\n")
        for line in self.lines():
            word, _, rest = line.partition(b" ")
            if word == b"init":
                status, answer = self.guard(self.init, rest)
                id_ = b"0"
            else:
                id_, _, body = rest.partition(b" ")
                status, answer = self.guard(self.run, body)
            self.flush()
            self.send(b"%s %d %s\n" % (id_, status, answer))

    def lines(self):
        parts = []
        while True:
            chunk = os.read(self.requests, READ_SIZE)
            if not chunk:
                return
            while True:
                line, newline, rest = chunk.partition(b"\n")
                parts.append(line)
                if not newline:
                    break
                yield line if len(parts) == 1 else b"".join(parts)
                parts = []
                chunk = rest
                if not chunk:
                    break

    def send(self, data):
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.answers, view):]
            except BlockingIOError:
                import select

                select.select([], [self.answers], [])
            except BrokenPipeError:
                os._exit(0)  # the proxy is gone

    def flush(self):
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                pass  # the user's code closed or replaced it

    def guard(self, step, body):
        """Runs a step; leaving the interpreter leaves it for good."""
        try:
            return step(body)
        except SystemExit as e:
            self.flush()
            code = e.code
            if code is not None and not isinstance(code, int):
                print(code, file=sys.stderr, flush=True)
                code = 1
            os._exit((code or 0) & 0xFF)

    def init(self, body):
        try:
            request = json.loads(body)
            os.environ.update(request["env"])
            os.chdir(request["dir"])
            self.main = load(request)
            return 200, b'{"ok":true}'
        except Exception as e:
            self.stopped = True
            return 502, failure("Initialization has failed due to: " + report(e))

    def run(self, body):
        if self.stopped:
            return 403, failure("System not ready, status is stopped.")
        try:
            request = json.loads(body)
            if not isinstance(request, dict):
                raise ValueError("the request is not an object")
        except ValueError as e:
            return 400, failure("Error unmarshaling request: %s" % e)
        for key, value in request.items():
            if key != "value" and isinstance(value, str):
                os.environ["__OW_" + key.upper()] = value
        args = request.get("value")
        if args is None:
            args = {}
        if not isinstance(args, (dict, list)):
            return 403, failure(
                "Internal system error: the argument must be a dictionary but has type '%s'." % type(args).__name__)
        try:
            result = self.main(args)
            if isinstance(result, (dict, list, tuple)):
                # NaN and infinities are not JSON: an error here, not a broken answer later.
                return 200, encode(result)
        except Exception as e:
            report(e)
            return 200, failure(str(e))
        print("Result of type %s: %.1000r" % (type(result).__name__, result), file=sys.stderr)
        return 502, failure("The action did not return a dictionary or array.")


ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def encode(value):
    try:
        return ENCODER.encode(value).encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates have no UTF-8 form, but a JSON escape
        return json.dumps(value, allow_nan=False).encode("ascii")


def failure(text):
    return encode({"error": text})


def report(error):
    """Prints the traceback without the launcher's own frames and returns its text."""
    import traceback

    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    try:
        print(text, end="", file=sys.stderr)
    except (OSError, ValueError):
        pass  # the user's code closed it
    return text.strip()


def load(request):
    """Returns the function that the init request names."""
    directory, entry = request["dir"], request["main"] or "main"
    # Only the action's own directory, not the launcher's, is searched for modules.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [directory] + [p for p in sys.path if p not in ("", here)]
    if request.get("code") is not None:
        source, filename = request["code"], os.path.join(directory, "__main__.py")
        remember(source, filename)
    else:
        activate(directory)
        filename = find_main(directory)
        with open(filename, "rb") as f:
            source = f.read()
    module = execute(source, filename)
    found = module
    for name in entry.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        raise NameError("Action entrypoint '%s' is not a function." % entry)
    return found


def find_main(directory):
    for name in ("__main__.py", "exec", "main__.py"):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return path
    raise FileNotFoundError("Zip file does not include __main__.py at its root.")


def execute(source, filename):
    """Runs the main file as the module main__, the official runtime's name for it."""
    import types

    module = types.ModuleType("main__")
    module.__file__ = filename
    sys.modules["main__"] = module
    exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)
    return module


def remember(source, filename):
    """Lets tracebacks show lines of a source that is in no file."""
    import linecache

    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)


def activate(directory):
    """Makes the packages of an archive's virtualenv importable."""
    root = os.path.join(directory, "virtualenv")
    if not os.path.isdir(root):
        return
    import glob
    import site

    packages = glob.glob(os.path.join(root, "lib*", "python3*", "site-packages"))
    packages += glob.glob(os.path.join(root, "Lib", "site-packages"))
    own = [p for p in packages if "python%d.%d%s" % (*sys.version_info[:2], os.sep) in p]
    if packages:
        known = len(sys.path)
        for path in own or packages:
            site.addsitedir(path)
        # The archive's packages go before the machine's, after the action itself.
        sys.path[1:] = sys.path[known:] + sys.path[1:known]
        return
    for scripts in ("bin", "Scripts"):
        script = os.path.join(root, scripts, "activate_this.py")
        if os.path.isfile(script):
            with open(script, "rb") as f:
                exec(compile(f.read(), script, "exec"), {"__file__": script, "__name__": "__main__"})
            return
    raise FileNotFoundError("Invalid virtualenv. Zip file does not include 'activate_this.py'.")


if __name__ == "__main__":
    preimport()
    serve(0, 3)
