// The Java launcher: runs an action's code for the action proxy.
//
// Protocol, one line each way (see runtimes/README.md):
//   in   init <json>            {"main","dir","code"?,"env"}; archive in dir when there is no code
//        run <id> <json>        the body of POST /run, untouched
//   out  ready                  once, when this process takes requests
//        <id> <status> <json>   an HTTP answer; init has the id 0
//
// main is Class or Class#method, the method's default being main. The method is
// static and public, and takes and returns a JsonObject, JsonArray or JsonElement.

package gowhisk;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.StringWriter;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

final class Launcher {
    /** Ends a step with an answer for the action's author. */
    private static final class Failure extends Exception {
        private static final long serialVersionUID = 1;
        final int status;

        Failure(int status, String text) {
            super(text);
            this.status = status;
        }
    }

    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final List<Class<?>> ARGUMENTS = List.of(JsonObject.class, JsonArray.class, JsonElement.class);

    private final Lines requests;
    private final OutputStream answers;
    private final PrintStream out;
    private final PrintStream err;
    private ClassLoader loader;
    private Method main;

    private Launcher() throws IOException {
        requests = new Lines(new FileInputStream(FileDescriptor.in));
        answers = new FileOutputStream("/dev/fd/3");
        out = log(FileDescriptor.out);
        err = log(FileDescriptor.err);
        System.setOut(out);
        System.setErr(err);
        System.setIn(new ByteArrayInputStream(new byte[0])); // requests are not the action's
    }

    /** Lines leave at once, so that an action that is ended leaves its logs. */
    private static PrintStream log(FileDescriptor to) {
        return new PrintStream(new FileOutputStream(to), true, StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws IOException {
        try {
            new Launcher().serve();
        } finally {
            Runtime.getRuntime().halt(0); // whatever threads the action has left
        }
    }

    private void serve() throws IOException {
        answer("ready");
        for (String line; (line = requests.next()) != null; ) {
            String id = "0";
            int status = 200;
            String body;
            try {
                if (line.startsWith("init ")) {
                    init(JsonParser.parseString(line.substring(5)).getAsJsonObject());
                    body = "{\"ok\":true}";
                } else {
                    int space = line.indexOf(' ', 4);
                    id = line.substring(4, space);
                    body = run(line.substring(space + 1));
                }
            } catch (Failure e) {
                status = e.status;
                body = error(e.getMessage());
            }
            System.out.flush(); // the action may have replaced them
            System.err.flush();
            out.flush();
            err.flush();
            answer(id + " " + status + " " + body);
        }
    }

    private void answer(String line) throws IOException {
        answers.write((line + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private static String error(String text) {
        JsonObject error = new JsonObject();
        error.addProperty("error", text);
        return GSON.toJson(error);
    }

    // ---- init

    private void init(JsonObject request) throws Failure {
        try {
            for (Map.Entry<String, JsonElement> variable : request.getAsJsonObject("env").entrySet()) {
                JsonElement value = variable.getValue();
                setEnvironment(variable.getKey(), value.isJsonPrimitive() ? value.getAsString() : GSON.toJson(value));
            }
            String[] entry = request.get("main").getAsString().split("#", 2);
            Path dir = Path.of(request.get("dir").getAsString());
            if (request.has("code")) {
                dir = Files.createDirectories(dir.resolve("java"));
                String simple = entry[0].substring(entry[0].lastIndexOf('.') + 1);
                Files.writeString(dir.resolve(simple + ".java"), request.get("code").getAsString());
            }
            loader = load(dir, entry[0]);
            Thread.currentThread().setContextClassLoader(loader);
            main = method(Class.forName(entry[0], true, loader), entry.length > 1 ? entry[1] : "main");
        } catch (Failure e) {
            err.println(e.getMessage());
            throw new Failure(e.status, "Initialization has failed due to: " + e.getMessage());
        } catch (Throwable e) {
            e.printStackTrace(err);
            throw new Failure(502, "Initialization has failed due to: " + e);
        }
    }

    /** What is unpacked in dir, the archives in it, and its sources when the class is among these. */
    private static ClassLoader load(Path dir, String name) throws IOException, Failure {
        List<Path> classPath = new ArrayList<>(List.of(dir));
        classPath.addAll(files(dir, ".jar"));
        if (!Files.exists(dir.resolve(name.replace('.', '/') + ".class"))) {
            List<Path> sources = files(dir, ".java");
            if (!sources.isEmpty()) {
                compile(dir, classPath, sources);
            }
        }
        List<URL> urls = new ArrayList<>();
        for (Path path : classPath) {
            urls.add(path.toUri().toURL());
        }
        return new URLClassLoader(urls.toArray(new URL[0]), Launcher.class.getClassLoader());
    }

    private static List<Path> files(Path dir, String ending) throws IOException {
        try (Stream<Path> all = Files.walk(dir)) {
            return all.filter(p -> p.toString().endsWith(ending)).sorted().collect(Collectors.toList());
        }
    }

    private static void compile(Path dir, List<Path> classPath, List<Path> sources) throws Failure {
        javax.tools.JavaCompiler compiler = javax.tools.ToolProvider.getSystemJavaCompiler();
        if (compiler == null) {
            throw new Failure(502, "the code has Java sources, and this Java has no compiler: upload a jar");
        }
        List<String> arguments = new ArrayList<>(List.of("-proc:none", "-encoding", "UTF-8", "-d", dir.toString(), "-cp",
            Stream.concat(classPath.stream().map(Path::toString), Stream.of(System.getProperty("java.class.path")))
                .collect(Collectors.joining(java.io.File.pathSeparator))));
        sources.forEach(s -> arguments.add(s.toString()));
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        if (compiler.run(null, said, said, arguments.toArray(new String[0])) != 0) {
            throw new Failure(502, "the code does not compile: " + said.toString(StandardCharsets.UTF_8));
        }
    }

    private static Method method(Class<?> of, String name) throws Failure {
        for (Class<?> argument : ARGUMENTS) {
            try {
                Method method = of.getDeclaredMethod(name, argument);
                int modifiers = method.getModifiers();
                if (Modifier.isStatic(modifiers) && Modifier.isPublic(modifiers)) {
                    method.setAccessible(true); // the class need not be public
                    return method;
                }
            } catch (NoSuchMethodException e) {
                continue;
            }
        }
        throw new Failure(502, "the class " + of.getName() + " has no method 'public static JsonObject " + name + "(JsonObject)'");
    }

    // ---- run

    private String run(String line) throws Failure {
        if (main == null) {
            throw new Failure(403, "System not ready, status is stopped.");
        }
        JsonObject request;
        try {
            request = JsonParser.parseString(line).getAsJsonObject();
        } catch (JsonParseException | IllegalStateException e) {
            throw new Failure(400, "Error unmarshaling request: " + e.getMessage());
        }
        for (Map.Entry<String, JsonElement> field : request.entrySet()) {
            JsonElement value = field.getValue();
            if (!field.getKey().equals("value") && value.isJsonPrimitive() && value.getAsJsonPrimitive().isString()) {
                setEnvironment("__OW_" + field.getKey().toUpperCase(Locale.ROOT), value.getAsString());
            }
        }
        JsonElement value = request.get("value");
        if (value == null || value.isJsonNull()) {
            value = new JsonObject();
        }
        if (!main.getParameterTypes()[0].isInstance(value)) {
            throw new Failure(502, "The action takes a " + main.getParameterTypes()[0].getSimpleName() + " and was given a " + value.getClass().getSimpleName() + ".");
        }
        return call(value);
    }

    private String call(JsonElement value) throws Failure {
        Thread.currentThread().setContextClassLoader(loader);
        try {
            Object result = main.invoke(null, value);
            if (result instanceof JsonObject || result instanceof JsonArray) {
                return write((JsonElement) result);
            }
            err.println("Result: " + result);
        } catch (InvocationTargetException e) {
            e.getCause().printStackTrace(err);
            throw new Failure(502, "An error has occurred while invoking the action (see logs for details): " + e.getCause());
        } catch (Throwable e) {
            e.printStackTrace(err);
            throw new Failure(502, "An error has occurred: " + e);
        }
        throw new Failure(502, "The action did not return a dictionary or array.");
    }

    private static String write(JsonElement result) {
        StringWriter text = new StringWriter();
        GSON.toJson(result, text);
        return text.toString();
    }

    // ---- environment

    private static Map<String, String> environment;

    /** Changes what System.getenv sees; Java has no other way than to open its own map. */
    @SuppressWarnings("unchecked")
    private static void setEnvironment(String name, String value) {
        try {
            if (environment == null) {
                Map<String, String> shown = System.getenv();
                Field field = Class.forName("java.util.Collections$UnmodifiableMap").getDeclaredField("m");
                field.setAccessible(true);
                environment = (Map<String, String>) field.get(shown);
            }
            environment.put(name, value);
        } catch (IllegalArgumentException e) {
            return; // a name or value that cannot be in an environment
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("the environment cannot be changed; Java needs --add-opens java.base/java.util=ALL-UNNAMED", e);
        }
    }

    /** Reads lines of UTF-8 of any length. */
    private static final class Lines {
        private final InputStream in;
        private final byte[] chunk = new byte[65536];
        private int at;
        private int end;

        Lines(InputStream in) {
            this.in = in;
        }

        String next() throws IOException {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            while (true) {
                for (int i = at; i < end; i++) {
                    if (chunk[i] == '\n') {
                        line.write(chunk, at, i - at);
                        at = i + 1;
                        return line.toString(StandardCharsets.UTF_8);
                    }
                }
                line.write(chunk, at, end - at);
                at = 0;
                end = in.read(chunk);
                if (end < 0) {
                    return null;
                }
            }
        }
    }
}
