package runtimetest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var phpFixtures = map[behaviour]string{
	identity:   `<?php function main(array $args): array { return $args; }`,
	otherEntry: `<?php function niam(array $args): array { return $args; }`,
	readsEnv:   `<?php $loaded = getenv('MYINIT'); function main(array $args): array { global $loaded; return ['loaded' => $loaded, 'now' => $_ENV['MYINIT']]; }`,
	contextual: `<?php function main(array $args): array {
		$context = [];
		foreach (['namespace', 'action_name', 'action_version', 'activation_id', 'transaction_id', 'deadline', 'api_key'] as $name) {
			$context[$name] = getenv('__OW_' . strtoupper($name));
		}
		return $context;
	}`,
	unicode:    `<?php function main(array $args): array { $s = '☃ ' . $args['delimiter'] . ' ☃'; echo $s, "\n"; return ['winter' => $s]; }`,
	notObject:  `<?php function main(array $args) { return 'a string'; }`,
	chatty:     `<?php function main(array $args): array { echo "out {$args['n']}\n"; fwrite(STDERR, "err {$args['n']}\n"); return []; }`,
	noisy:      `<?php function main(array $args): array { for ($i = 0; $i < $args['n']; $i++) { echo "line\n"; fwrite(STDERR, "line\n"); } return []; }`,
	unfinished: `<?php function main(array $args): array { ob_start(); echo 'half'; fwrite(STDERR, 'half'); return []; }`,
	hangs:      `<?php function main(array $args): array { echo "going\ngoing\n"; while (true) { sleep(1000); } }`,
	exits:      `<?php function main(array $args): array { echo "going\n"; exit(3); }`,
	big:        `<?php function main(array $args): array { return ['big' => str_repeat('x', $args['n'])]; }`,
}

func (s *suite) php(t *testing.T) {
	t.Run("an exception is the result, and is logged", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Code: `<?php function main(array $args): array { throw new Exception("wrong {$args['x']}"); }`})
		require.JSONEq(t, `{"error":"wrong ❄"}`, c.MustRun(t, `{"x":"❄"}`))
		_, stderr := c.Logs(t)
		require.Contains(t, stderr[0], "Exception: wrong ❄")
		require.Equal(t, http.StatusOK, c.Run(t, `{"x":"again"}`).Status)
	})
	for name, c := range map[string]struct{ source, args, result string }{
		"an empty array for an object": {`<?php function main($a) { return []; }`, `{"a":1}`, `{}`},
		"an empty array for a list":    {`<?php function main($a) { return []; }`, `[1]`, `[]`},
		"an object":                    {`<?php function main($a) { return (object)['a' => 1.0]; }`, `{}`, `{"a":1.0}`},
		"text that is no UTF-8":        {`<?php function main($a) { return ['a' => "\xff"]; }`, `{}`, `{"error":"Malformed UTF-8 characters, possibly incorrectly encoded"}`},
		"a missing type":               {`<?php function main($a) { return ['a' => undefined()]; }`, `{}`, `{"error":"Call to undefined function undefined()"}`},
		"standard input":               {`<?php function main($a) { return ['s' => file_get_contents('php://stdin') . shell_exec('cat')]; }`, `{}`, `{"s":""}`},
		"a static method":              {`<?php class A { static function b($a) { return $a; } }`, `{"a":1}`, `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			code := Code{Code: c.source}
			if name == "a static method" {
				code.Main = "A::b"
			}
			client.MustInit(t, code)
			require.Equal(t, c.result, client.MustRun(t, c.args))
		})
	}
	t.Run("a warning is a log", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Code: `<?php function main($a) { return ['x' => $a['none']]; }`})
		require.Equal(t, `{"x":null}`, c.MustRun(t, `{}`))
		stdout, stderr := c.Logs(t)
		require.Empty(t, stdout)
		require.Contains(t, strings.Join(stderr, "\n"), `Warning: Undefined array key "none" in `)
	})
	t.Run("zip with other files and an autoloader", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Zip(t,
			File{Name: "index.php", Text: `<?php function main($a) { return ['ok' => text(), 'cwd' => file_exists('data.txt'), 'b' => Dep\B::TEXT]; } require 'lib/ok.php';`},
			File{Name: "vendor/autoload.php", Text: `<?php spl_autoload_register(function ($class) { require __DIR__ . '/' . strtr($class, '\\', '/') . '.php'; });`},
			File{Name: "vendor/Dep/B.php", Text: `<?php namespace Dep; class B { const TEXT = 'dep'; }`},
			File{Name: "lib/ok.php", Text: `<?php function text() { return 'yes'; }`},
			File{Name: "data.txt"}))
		require.JSONEq(t, `{"ok":"yes","cwd":true,"b":"dep"}`, c.MustRun(t, `{}`))
	})
	s.initFailures(t, map[string]failingInit{
		"a syntax error":        {Code{Code: `<?php function main( {`}, "syntax error"},
		"a missing file":        {Code{Code: `<?php require 'none.php'; function main($a) { return $a; }`}, "none.php"},
		"no such function":      {Code{Code: `<?php $x = 1;`}, "Action entrypoint 'main' is not a function."},
		"an exit while loading": {Code{Code: `<?php exit(1);`}, "The action did not initialize and exited unexpectedly."},
		"a zip without a main":  {Zip(t, File{Name: "other.php", Text: `<?php `}), "must contain index.php"},
	})
}
