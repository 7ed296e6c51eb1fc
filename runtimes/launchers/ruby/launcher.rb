# The Ruby launcher: runs an action's code for the action proxy.
#
# Protocol, one line each way (see runtimes/README.md):
#   in   init <json>            {"main", "dir", "code"?, "env"}; archive in dir when there is no code
#        run <id> <json>        the body of POST /run, untouched
#   out  ready                  once, when this process takes requests
#        <id> <status> <json>   an HTTP answer; init has the id 0
#
# It is started with --disable-gems, which halves the start: the first library that
# is not found loads RubyGems.

require 'json'

Object.autoload :Gem, 'rubygems'

module Kernel
  alias require_without_gems require
  private :require_without_gems

  private

  def require(path)
    require_without_gems(path)
  rescue LoadError
    raise unless Object.autoload?(:Gem)

    Kernel.alias_method :require, :require_without_gems # what RubyGems builds upon
    Gem.ruby_version # loads it
    require(path)
  end
end

# Launcher answers requests until the proxy closes them.
class Launcher
  def initialize(requests, answers)
    # The user's code must not read requests or write answers by accident: both move
    # to descriptors that child processes do not inherit.
    @requests = requests.dup.binmode
    @answers = answers
    @answers.close_on_exec = true
    @answers.sync = true
    requests.reopen(File::NULL)
    # Whole lines leave at once, so that a killed action's logs are not lost.
    $stdout.sync = $stderr.sync = true
    @main = nil
  end

  def serve
    @answers.write("ready\n")
    while (line = @requests.gets("\n"))
      word, rest = line.chomp.force_encoding(Encoding::UTF_8).split(' ', 2)
      if word == 'init'
        id = '0'
        status, json = guard { init(rest) }
      else
        id, body = rest.split(' ', 2)
        status, json = guard { run(body) }
      end
      flush
      @answers.write("#{id} #{status} #{json}\n")
    end
  rescue Errno::EPIPE
    exit!(0) # the proxy is gone
  end

  private

  # Leaving the interpreter leaves it for good.
  def guard
    yield
  rescue SystemExit => e
    flush
    exit!(e.status)
  end

  def flush
    [$stdout, $stderr, STDOUT, STDERR].each do |stream|
      stream.flush
    rescue IOError, SystemCallError, NoMethodError
      next # the user's code closed or replaced it
    end
  end

  def init(line)
    request = JSON.parse(line)
    request['env'].each { |name, value| setenv(name, value.is_a?(String) ? value : JSON.generate(value)) }
    Dir.chdir(request['dir'])
    load_code(request)
    @main = entry(request['main'])
    [200, '{"ok":true}']
  rescue StandardError, ScriptError, NoMemoryError, SystemStackError => e
    report(e)
    [502, failure("Initialization has failed due to: #{e.full_message(highlight: false).strip}")]
  end

  def load_code(request)
    dir = request['dir']
    $LOAD_PATH.unshift(dir)
    file = File.join(dir, 'main.rb')
    if request['code']
      eval(request['code'], TOPLEVEL_BINDING, file) # rubocop:disable Security/Eval -- it is what we are for
    elsif File.file?(file)
      require file
    else
      raise LoadError, 'Zipped actions must contain main.rb at the root.'
    end
  end

  # entry finds a method of the top level, or Module.method or Module::method.
  def entry(name)
    owner, _, method = name.rpartition(/::|\./)
    receiver = owner.empty? ? TOPLEVEL_BINDING.receiver : Object.const_get(owner)
    raise NoMethodError unless receiver.respond_to?(method, true)

    receiver.method(method)
  rescue NameError
    raise NameError, "Action entrypoint '#{name}' is not a function."
  end

  def run(body)
    return [403, failure('System not ready, status is stopped.')] unless @main

    begin
      request = JSON.parse(body, max_nesting: false)
    rescue JSON::ParserError => e
      return [400, failure("Error unmarshaling request: #{e.message}")]
    end
    request.each { |name, value| setenv("__OW_#{name.upcase}", value) if name != 'value' && value.is_a?(String) }
    args = request['value'].nil? ? {} : request['value']
    unless args.is_a?(Hash) || args.is_a?(Array)
      return [403, failure("Internal system error: the argument must be a dictionary but has type '#{args.class}'.")]
    end

    call(args)
  end

  def call(args)
    result = @main.call(args)
    return [200, JSON.generate(result, max_nesting: 0)] if result.is_a?(Hash) || result.is_a?(Array)

    warn "Result of type #{result.class}: #{result.inspect[0, 1000]}"
    [502, failure('The action did not return a dictionary or array.')]
  rescue StandardError, ScriptError, NoMemoryError, SystemStackError => e
    report(e)
    [200, failure(e.message)]
  end

  def setenv(name, value)
    ENV[name] = value unless name.empty? || name.include?('=') || name.include?("\0") || value.include?("\0")
  end

  def report(error)
    $stderr.puts error.full_message(highlight: false)
  rescue IOError, SystemCallError, NoMethodError
    nil # the user's code closed or replaced it
  end

  def failure(text)
    JSON.generate({ error: text.dup.force_encoding(Encoding::UTF_8).scrub })
  end
end

Launcher.new($stdin, IO.for_fd(3, 'wb')).serve
