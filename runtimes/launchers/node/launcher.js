// The Node.js launcher: runs an action's code for the action proxy.
//
// Protocol, one line each way (see runtimes/README.md):
//   in  (fd 0)   init <json>            {"main","dir","code"?,"env"}; archive in dir when there is no code
//                run <id> <json>        the body of POST /run, untouched
//   out (fd 3)   ready                  once, when this process takes requests
//                <id> <status> <json>   an HTTP answer; init has the id 0
//
// Rules of the contract: openwhisk-invoker.md 1.6 and 1.7. The proxy writes the
// log sentinels, so everything printed must have left this process before the
// answer does (flush).
'use strict';

const fs = require('fs');
const net = require('net');

const REQUESTS = requestsDescriptor();
const ANSWERS = 3;
const NEWLINE = 10;
const SPACE = 32;

// requestsDescriptor moves the requests away from descriptor 0, so that a program
// which the user's code starts with our standard input finds it empty. Where
// that is not possible, requests stay there.
function requestsDescriptor() {
  let moved;
  try {
    moved = fs.openSync('/dev/fd/0', 'r');
  } catch {
    return 0; // a socket, or no /dev/fd
  }
  fs.closeSync(0);
  fs.openSync('/dev/null', 'r'); // takes the lowest free number, which is 0
  return moved;
}

let main; // the user's function, once initialised
let stopped = false; // set for good by a failed init, a synchronous throw or an uncaught exception
const inFlight = new Set(); // ids of the runs that have no answer yet

// ---- answers -------------------------------------------------------------

// write blocks until the pipe took everything; the proxy always reads.
function write(text) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(ANSWERS, bytes, at);
    } catch (e) {
      if (e.code === 'EAGAIN') {
        // Somebody made the pipe non-blocking; wait a moment for room.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      } else if (e.code === 'EPIPE') {
        process.exit(0); // the proxy is gone
      } else {
        throw e;
      }
    }
  }
}

// Streams are created on first use, which costs milliseconds, so only those the
// user's code has touched are flushed.
const usedStreams = new Set();
for (const name of ['stdout', 'stderr']) {
  const original = Object.getOwnPropertyDescriptor(process, name);
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    set: original.set,
    get() {
      const stream = original.get.call(process);
      if (!usedStreams.has(stream)) {
        usedStreams.add(stream);
        // Otherwise code that never yields to the event loop, and is ended for
        // that, would leave no logs beyond what the pipe holds.
        stream._handle?.setBlocking?.(true);
      }
      return stream;
    },
  });
}

// Standard input carries the protocol; the user's code sees an empty one.
let emptyStdin;
Object.defineProperty(process, 'stdin', {
  configurable: true,
  enumerable: true,
  get() {
    if (emptyStdin === undefined) {
      emptyStdin = require('stream').Readable.from([]);
      emptyStdin.fd = 0;
    }
    return emptyStdin;
  },
});

// flush calls done when everything printed so far has reached the pipes.
function flush(done) {
  let waiting = 1;
  const arrived = () => {
    if (--waiting === 0) done();
  };
  for (const stream of usedStreams) {
    if (stream.writableLength > 0 && !stream.destroyed) {
      waiting++;
      stream.write('', arrived);
    }
  }
  arrived();
}

function answer(id, status, json) {
  flush(() => write(id + ' ' + status + ' ' + json + '\n'));
}

function fail(id, status, text) {
  answer(id, status, JSON.stringify({ error: text }));
}

// report prints like console.error, but works when the user replaced console.
function report(error) {
  process.stderr.write(describe(error) + '\n');
}

function describe(error) {
  try {
    if (error instanceof Error && typeof error.stack === 'string') return error.stack;
    return typeof error === 'object' ? require('util').inspect(error) : String(error);
  } catch {
    return 'an error that cannot be printed';
  }
}

function short(error) {
  try {
    return String(error);
  } catch {
    return describe(error);
  }
}

// ---- init ----------------------------------------------------------------

const MAIN = /^[\p{ID_Start}$_][\p{ID_Continue}$]*(\.[\p{ID_Start}$_][\p{ID_Continue}$]*)*$/u;

async function init(line) {
  try {
    const request = JSON.parse(line);
    if (!MAIN.test(request.main)) {
      throw new Error(`'${request.main}' is not a valid entry point; use 'function' or 'module.function'.`);
    }
    Object.assign(process.env, request.env);
    process.chdir(request.dir);
    const found = typeof request.code === 'string'
      ? await evaluate(request.code, request.main, request.dir)
      : await load(request.main, request.dir);
    if (typeof found !== 'function') {
      throw new TypeError(`Action entrypoint '${request.main}' is not a function.`);
    }
    main = found;
    answer(0, 200, '{"ok":true}');
  } catch (e) {
    stopped = true;
    report(e);
    fail(0, 502, 'Initialization has failed due to: ' + describe(e));
  }
}

// evaluate runs a single source text and returns its entry point: a name in the
// text's own scope, else an export.
async function evaluate(code, entry, dir) {
  const Module = require('module');
  const filename = require('path').join(dir, 'action.js');
  const module = new Module(filename);
  module.filename = filename;
  module.paths = Module._nodeModulePaths(dir);
  const head = entry.split('.', 1)[0];
  let local;
  try {
    // The text becomes the body of a function, so a local can be returned from it.
    local = module._compile(`${code}\n;return typeof ${head} === 'undefined' ? undefined : ${entry};`, filename, 'commonjs');
  } catch (e) {
    if (!(e instanceof SyntaxError) || !/^\s*(import|export)\b/m.test(code)) throw e;
    const file = require('path').join(dir, 'action.mjs');
    fs.writeFileSync(file, code);
    return exported(await importFile(file), entry);
  }
  module.loaded = true;
  return local !== undefined ? local : exported(module.exports, entry);
}

// load finds the entry point of an extracted archive: 'function' of the
// package's main module, or 'module.function' of a named one.
async function load(entry, dir) {
  const path = require('path');
  const dot = entry.indexOf('.');
  if (dot > 0) {
    return exported(await requireOrImport(path.join(dir, entry.slice(0, dot))), entry.slice(dot + 1));
  }
  const manifest = path.join(dir, 'package.json');
  const hasManifest = fs.existsSync(manifest);
  const index = ['index.js', 'index.mjs', 'index.cjs'].map((f) => path.join(dir, f)).find((f) => fs.existsSync(f));
  if (!hasManifest && index === undefined) {
    throw new Error('Zipped actions must contain either package.json or index.js at the root.');
  }
  const about = hasManifest ? JSON.parse(fs.readFileSync(manifest, 'utf8')) : {};
  install(about, dir);
  const file = typeof about.main === 'string' && about.main !== '' ? path.resolve(dir, about.main) : index || dir;
  return exported(await requireOrImport(file), entry);
}

// install fetches missing dependencies, as the official runtime does, unless
// OW_ENABLE_INIT_INSTALL says no. Unlike there, init waits for it.
function install(about, dir) {
  const wanted = Object.keys(about.dependencies || {});
  const enabled = process.env.OW_ENABLE_INIT_INSTALL;
  if (wanted.length === 0 || (enabled !== undefined && enabled !== 'true')) return;
  const path = require('path');
  if (fs.existsSync(path.join(dir, 'node_modules'))) return;
  const npm = path.join(path.dirname(process.execPath), 'npm');
  require('child_process').execFileSync(fs.existsSync(npm) ? npm : 'npm',
    ['install', '--omit=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: dir, stdio: ['ignore', 2, 2], env: { ...process.env, HOME: dir, npm_config_cache: path.join(dir, '.npm') } });
}

async function requireOrImport(file) {
  const require_ = require('module').createRequire(file);
  let resolved = file;
  try {
    resolved = require_.resolve(file);
  } catch (e) {
    if (!fs.existsSync(file + '.mjs')) throw e;
    resolved = file + '.mjs';
  }
  if (resolved.endsWith('.mjs')) return importFile(resolved);
  try {
    return require_(resolved);
  } catch (e) {
    if (e.code !== 'ERR_REQUIRE_ESM' && e.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw e;
    return importFile(resolved);
  }
}

function importFile(file) {
  return import(require('url').pathToFileURL(file).href);
}

// exported follows a dotted name through a module's exports, then through its
// default export.
function exported(exports, entry) {
  const follow = (from) => entry.split('.').reduce((at, name) => (at == null ? undefined : at[name]), from);
  const found = follow(exports);
  if (found !== undefined || exports == null || exports.default === undefined) return found;
  if (entry === 'main' && typeof exports.default === 'function') return exports.default;
  return follow(exports.default);
}

// ---- run -----------------------------------------------------------------

function run(id, line) {
  if (stopped) {
    fail(id, 403, 'System not ready, status is stopped.');
    return;
  }
  let args;
  try {
    const request = JSON.parse(line);
    for (const key in request) {
      if (key !== 'value' && typeof request[key] === 'string') process.env['__OW_' + key.toUpperCase()] = request[key];
    }
    args = request.value;
  } catch (e) {
    fail(id, 400, 'Error unmarshaling request: ' + e.message);
    return;
  }
  if (args === undefined || args === null) args = {};
  if (typeof args !== 'object') {
    fail(id, 403, `Internal system error: the argument must be a dictionary but has type '${typeof args}'.`);
    return;
  }
  inFlight.add(id);
  let result;
  try {
    result = main(args);
  } catch (e) {
    abort(e);
    return;
  }
  if (result !== null && (typeof result === 'object' || typeof result === 'function') && typeof result.then === 'function') {
    // Promise.resolve also adopts foreign thenables.
    Promise.resolve(result).then((value) => finish(id, value), (e) => finish(id, { error: serialize(e) }));
  } else {
    finish(id, result);
  }
}

function finish(id, result) {
  if (!inFlight.delete(id)) return; // an uncaught exception has answered already
  let json;
  try {
    json = result === undefined ? '{}' : JSON.stringify(result);
  } catch (e) {
    report(e);
    fail(id, 502, 'An error has occurred: ' + short(e));
    return;
  }
  if (json === undefined || (json[0] !== '{' && json[0] !== '[')) {
    process.stderr.write('Result of type ' + typeof result + ': ' + json + '\n');
    fail(id, 502, 'The action did not return a dictionary or array.');
    return;
  }
  answer(id, 200, json);
}

// abort fails every run under way and all later ones: after an exception that
// nobody caught, the state of the user's code is unknown.
function abort(error) {
  stopped = true;
  report(error);
  const ids = [...inFlight];
  inFlight.clear();
  for (const id of ids) fail(id, 502, 'An error has occurred: ' + short(error));
}

// serialize makes a rejection's reason visible as JSON: errors keep name,
// message, stack and their own fields. A bare reject() becomes {}.
function serialize(reason, above = []) {
  if (!reason && above.length === 0) return {};
  if (typeof reason === 'function') return `[Function: ${reason.name || 'anonymous'}]`;
  if (typeof reason === 'bigint') return String(reason);
  if (reason === null || typeof reason !== 'object') return reason;
  if (above.includes(reason)) return '[Circular]';
  if (typeof reason.toJSON === 'function') return reason.toJSON();
  if (Buffer.isBuffer(reason)) return '[object Buffer]';
  const below = [...above, reason];
  const out = Array.isArray(reason) ? [] : {};
  for (const key of Object.keys(reason)) {
    if (typeof reason[key] !== 'function') out[key] = serialize(reason[key], below);
  }
  for (const key of ['name', 'message', 'stack', 'code']) {
    if (typeof reason[key] === 'string') out[key] = reason[key];
  }
  return out;
}

process.on('uncaughtException', (e) => {
  if (inFlight.size > 0) abort(e);
  else report(e); // left over from an earlier run, such as a broken idle connection: the next run may be fine
});
process.on('unhandledRejection', report);

// ---- requests ------------------------------------------------------------

let partial = []; // the beginning of a line whose end has not arrived

function received(chunk) {
  let start = 0;
  for (let end; (end = chunk.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
    let line = chunk.subarray(start, end);
    if (partial.length > 0) {
      line = Buffer.concat([...partial, line]);
      partial = [];
    }
    dispatch(line);
  }
  // The chunk's memory is used again for the next read, so what is kept is copied.
  if (start < chunk.length) partial.push(Buffer.from(chunk.subarray(start)));
}

function dispatch(line) {
  const space = line.indexOf(SPACE);
  if (line.latin1Slice(0, space) === 'init') {
    init(line.utf8Slice(space + 1, line.length));
    return;
  }
  const second = line.indexOf(SPACE, space + 1);
  run(line.latin1Slice(space + 1, second), line.utf8Slice(second + 1, line.length));
}

const buffer = Buffer.allocUnsafeSlow(65536);
const requests = new net.Socket({
  fd: REQUESTS,
  readable: true,
  writable: false,
  // onread spares the stream machinery: one call per read, no allocation.
  onread: {
    buffer,
    callback(length) {
      received(buffer.subarray(0, length));
      return true;
    },
  },
});
requests.on('end', () => process.exit(0));
requests.on('error', () => process.exit(0));
requests.resume();
write('ready\n');
