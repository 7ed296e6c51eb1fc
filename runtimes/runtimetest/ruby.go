package runtimetest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

var rubyFixtures = map[behaviour]string{
	identity:   "def main(args)\n  args\nend\n",
	otherEntry: "def niam(args)\n  args\nend\n",
	readsEnv:   "LOADED = ENV['MYINIT']\ndef main(args)\n  { loaded: LOADED, now: ENV['MYINIT'] }\nend\n",
	contextual: "def main(args)\n  %w[namespace action_name action_version activation_id transaction_id deadline api_key].to_h { |n| [n, ENV['__OW_' + n.upcase]] }\nend\n",
	unicode:    "def main(args)\n  s = \"☃ #{args['delimiter']} ☃\"\n  puts s\n  { winter: s }\nend\n",
	notObject:  "def main(args)\n  'a string'\nend\n",
	chatty:     "def main(args)\n  puts \"out #{args['n']}\"\n  warn \"err #{args['n']}\"\n  {}\nend\n",
	noisy:      "def main(args)\n  args['n'].times do\n    puts 'line'\n    $stderr.puts 'line'\n  end\n  {}\nend\n",
	unfinished: "def main(args)\n  $stdout.sync = false\n  print 'half'\n  $stderr.print 'half'\n  {}\nend\n",
	hangs:      "def main(args)\n  puts 'going', 'going'\n  sleep\nend\n",
	exits:      "def main(args)\n  puts 'going'\n  exit 3\nend\n",
	big:        "def main(args)\n  { big: 'x' * args['n'] }\nend\n",
}

func (s *suite) ruby(t *testing.T) {
	t.Run("an exception is the result, its backtrace is logged", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Code: "def main(args)\n  raise \"wrong #{args['x']}\"\nend\n"})
		require.JSONEq(t, `{"error":"wrong ❄"}`, c.MustRun(t, `{"x":"❄"}`))
		_, stderr := c.Logs(t)
		require.Contains(t, stderr[0], "main.rb:2:in `main': wrong ❄ (RuntimeError)")
		require.Equal(t, http.StatusOK, c.Run(t, `{"x":"again"}`).Status)
	})
	for name, c := range map[string]struct{ source, main, result string }{
		"exact integers":            {"def main(a)\n  { n: 12345678901234567890123 }\nend\n", "", `{"n":12345678901234567890123}`},
		"standard input":            {"def main(a)\n  { s: $stdin.read + `cat` }\nend\n", "", `{"s":""}`},
		"a method of a module":      {"module A\n  def self.b(a)\n    { ok: 1 }\n  end\nend\n", "A.b", `{"ok":1}`},
		"a library":                 {"require 'set'\ndef main(a)\n  { n: Set.new([1, 1]).size }\nend\n", "", `{"n":1}`},
		"RubyGems, when asked for":  {"def main(a)\n  { n: Gem::Version.new('2') > Gem::Version.new('1.9') }\nend\n", "", `{"n":true}`},
		"a missing library":         {"def main(a)\n  require 'no_such_library'\nrescue LoadError => e\n  { e: e.message, gems: defined?(Gem::Version) }\nend\n", "", `{"e":"cannot load such file -- no_such_library","gems":"constant"}`},
		"methods of the same names": {"def init(a) = 1\ndef run(a) = 2\ndef flush = 3\ndef main(a)\n  { n: init(1) }\nend\n", "", `{"n":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			client.MustInit(t, Code{Code: c.source, Main: c.main})
			require.Equal(t, c.result, client.MustRun(t, `{}`))
		})
	}
	t.Run("text that is no UTF-8 is an error of the action", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Code: "def main(args)\n  { n: \"\\xffab\" }\nend\n"})
		require.Contains(t, errorOf(t, c.MustRun(t, `{}`)), "source") // words differ by version
	})
	t.Run("zip with other files", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Zip(t,
			File{Name: "main.rb", Text: "require 'lib/ok'\nrequire_relative 'lib/two'\ndef main(args)\n  { ok: text, two: two, cwd: File.exist?('data.txt') }\nend\n"},
			File{Name: "lib/ok.rb", Text: "def text = 'yes'\n"},
			File{Name: "lib/two.rb", Text: "def two = 2\n"},
			File{Name: "data.txt"}))
		require.JSONEq(t, `{"ok":"yes","two":2,"cwd":true}`, c.MustRun(t, `{}`))
	})
	s.initFailures(t, map[string]failingInit{
		"a syntax error":        {Code{Code: "def main("}, "syntax error"},
		"a missing library":     {Code{Code: "require 'no_such_library'\n"}, "cannot load such file -- no_such_library"},
		"no such function":      {Code{Code: "x = 1"}, "Action entrypoint 'main' is not a function."},
		"an exit while loading": {Code{Code: "exit 1"}, "The action did not initialize and exited unexpectedly."},
		"a zip without a main":  {Zip(t, File{Name: "other.rb"}), "must contain main.rb"},
	})
}
