<?php
// The PHP launcher: runs an action's code for the action proxy.
//
// Protocol, one line each way (see runtimes/README.md):
//   in   init <json>            {"main","dir","code"?,"env"}; archive in dir when there is no code
//        run <id> <json>        the body of POST /run, untouched
//   out  ready                  once, when this process takes requests
//        <id> <status> <json>   an HTTP answer; init has the id 0
//
// The user's files are required at the end, at the top level of this file, because
// their variables must be globals. PHP knows one kind of array: an empty result is
// the list [] when the arguments were a list, and {} otherwise.

namespace Gowhisk;

final class Launcher
{
    private const JSON = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;
    private const DEPTH = 10000;

    /** The file being loaded. */
    public static string $file;

    private static $requests;
    private static $answers;
    private static $null;
    private static string $dir;
    private static string $entry;
    private static $main = null;

    public static function open(): void
    {
        self::$answers = fopen('php://fd/3', 'w');
        // Requests move away from descriptor 0, so that the user's code and the
        // programs it starts find an empty standard input.
        self::$requests = fopen('php://fd/0', 'r'); // a copy
        fclose(STDIN);
        self::$null = fopen('/dev/null', 'r'); // takes the lowest free number, which is 0
        stream_set_chunk_size(self::$requests, 65536);
        self::send("ready\n");
    }

    /** Answers runs until code comes; false when the proxy is gone. */
    public static function awaitInit(): bool
    {
        while (($line = fgets(self::$requests)) !== false) {
            if (str_starts_with($line, 'init ')) {
                return true === self::guard(fn() => self::prepare(json_decode(substr($line, 5), true, self::DEPTH, self::JSON)));
            }
            self::run($line);
        }
        return false;
    }

    private static function prepare(array $request): bool
    {
        foreach ($request['env'] as $name => $value) {
            self::setenv((string)$name, is_string($value) ? $value : json_encode($value, self::JSON));
        }
        self::$dir = $request['dir'];
        self::$entry = $request['main'];
        chdir(self::$dir);
        if (isset($request['code'])) {
            if (file_put_contents(self::$dir . '/index.php', $request['code']) === false) {
                throw new \RuntimeException('The code cannot be written to ' . self::$dir . '.');
            }
        }
        if (!is_file(self::$dir . '/index.php')) {
            throw new \RuntimeException('Zipped actions must contain index.php at the root.');
        }
        return true;
    }

    /** The files to load, in this order. */
    public static function files(): array
    {
        return array_filter([self::$dir . '/vendor/autoload.php', self::$dir . '/index.php'], 'is_file');
    }

    public static function loaded(): void
    {
        if (!is_callable(self::$entry)) {
            throw new \RuntimeException("Action entrypoint '" . self::$entry . "' is not a function.");
        }
        self::$main = self::$entry;
        self::answer('0', 200, '{"ok":true}');
    }

    public static function failed(\Throwable $e): void
    {
        self::report($e);
        self::fail('0', 502, 'Initialization has failed due to: ' . $e);
    }

    private static function guard(callable $step): mixed
    {
        try {
            return $step();
        } catch (\Throwable $e) {
            self::failed($e);
            return null;
        }
    }

    public static function serve(): void
    {
        while (($line = fgets(self::$requests)) !== false) {
            self::run($line);
        }
    }

    private static function run(string $line): void
    {
        [, $id, $body] = explode(' ', $line, 3);
        if (self::$main === null) {
            self::fail($id, 403, 'System not ready, status is stopped.');
            return;
        }
        try {
            $request = json_decode($body, true, self::DEPTH, self::JSON);
        } catch (\JsonException $e) {
            self::fail($id, 400, 'Error unmarshaling request: ' . $e->getMessage());
            return;
        }
        foreach ($request as $name => $value) {
            if ($name !== 'value' && is_string($value)) {
                self::setenv('__OW_' . strtoupper($name), $value);
            }
        }
        $args = $request['value'] ?? [];
        if (!is_array($args)) {
            self::fail($id, 403, "Internal system error: the argument must be a dictionary but has type '" . get_debug_type($args) . "'.");
            return;
        }
        unset($request);
        try {
            $result = (self::$main)($args);
            if ($result === []) {
                $json = self::isList($args, $body) ? '[]' : '{}';
            } else {
                $json = json_encode($result, self::JSON, self::DEPTH);
            }
        } catch (\Throwable $e) {
            self::report($e);
            self::answer($id, 200, self::error($e->getMessage()));
            return;
        }
        if ($json[0] !== '{' && $json[0] !== '[') {
            fwrite(STDERR, 'Result of type ' . get_debug_type($result) . ': ' . substr($json, 0, 1000) . "\n");
            self::fail($id, 502, 'The action did not return a dictionary or array.');
            return;
        }
        self::answer($id, 200, $json);
    }

    private static function isList(array $args, string $body): bool
    {
        return $args === [] ? is_array(json_decode($body, false, self::DEPTH)->value ?? null) : array_is_list($args);
    }

    private static function setenv(string $name, string $value): void
    {
        if ($name === '' || str_contains($name, '=') || str_contains($name . $value, "\0")) {
            return;
        }
        putenv("$name=$value");
        $_ENV[$name] = $value;
        $_SERVER[$name] = $value;
    }

    private static function report(\Throwable $e): void
    {
        fwrite(STDERR, $e . "\n");
    }

    private static function error(string $text): string
    {
        return json_encode(['error' => $text], self::JSON | JSON_INVALID_UTF8_SUBSTITUTE);
    }

    private static function fail(string $id, int $status, string $text): void
    {
        self::answer($id, $status, self::error($text));
    }

    private static function answer(string $id, int $status, string $json): void
    {
        while (ob_get_level() > 0 && @ob_end_flush()); // what the user's code held back
        flush();
        self::send("$id $status $json\n");
    }

    private static function send(string $line): void
    {
        for ($at = 0; $at < strlen($line); $at += $written) {
            $written = @fwrite(self::$answers, $at === 0 ? $line : substr($line, $at));
            if ($written === false || $written === 0) {
                exit(0); // the proxy is gone
            }
        }
    }
}

Launcher::open();
if (Launcher::awaitInit()) {
    try {
        foreach (Launcher::files() as Launcher::$file) {
            require Launcher::$file;
        }
        Launcher::loaded();
    } catch (\Throwable $e) {
        Launcher::failed($e);
        unset($e);
    }
}
Launcher::serve();
