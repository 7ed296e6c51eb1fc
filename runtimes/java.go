package runtimes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// javaFlags start quickly, keep the heap within the container's memory and let
// the launcher change the environment.
var javaFlags = []string{
	"-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:MaxRAMPercentage=60", "-Dfile.encoding=UTF-8",
	"--add-opens=java.base/java.util=ALL-UNNAMED",
}

const javaLauncher = "java/Launcher.java"

func javaArguments(dir string) []string {
	classPath := strings.Join([]string{javaClasses(dir), javaGSON(dir)}, string(filepath.ListSeparator))
	return []string{"-cp", classPath, "gowhisk.Launcher"}
}

func javaClasses(dir string) string { return filepath.Join(dir, "java", "classes") }
func javaGSON(dir string) string    { return filepath.Join(dir, "java", "gson.jar") }

// javaRelease is the line of a Java's file release that has its version.
var javaRelease = regexp.MustCompile(`(?m)^JAVA_VERSION="(\d+)(?:\.(\d+)(?:\.(\d+))?)?`)

// inspectJava returns the version of a Java that can also compile its launcher.
// Starting it to ask would take longer than everything else.
func inspectJava(executable string) (string, error) {
	if _, err := os.Stat(javac(executable)); err != nil {
		return "", fmt.Errorf("%s has no compiler: %w", executable, err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(executable)), "release"))
	if err != nil {
		return "", err
	}
	version := javaRelease.FindStringSubmatch(string(text))
	if version == nil {
		return "", fmt.Errorf("%s is of an unknown version", executable)
	}
	for i := range version {
		if version[i] == "" {
			version[i] = "0"
		}
	}
	return strings.Join(version[1:], "."), nil
}

func javac(java string) string { return filepath.Join(filepath.Dir(java), "javac") }

// prepareJava compiles the launcher and gets the JSON library, which actions of
// OpenWhisk expect there.
func prepareJava(ctx context.Context, java, dir string) error {
	compiler := "javac"
	if java != "" {
		compiler = javac(java)
	}
	gson, err := findGSON()
	if err != nil {
		return err
	}
	if err := installFile(javaGSON(dir), gson); err != nil {
		return fmt.Errorf("install %s: %w", javaGSON(dir), err)
	}
	return runTool(ctx, exec.Command(compiler, "-encoding", "UTF-8", "-proc:none", "-cp", javaGSON(dir),
		"-d", javaClasses(dir), filepath.Join(dir, filepath.FromSlash(javaLauncher))))
}

// findGSON reads the library from where Debian or Maven put it.
func findGSON() ([]byte, error) {
	places := []string{"/usr/share/java/gson.jar"}
	if home, err := os.UserHomeDir(); err == nil {
		found, _ := filepath.Glob(filepath.Join(home, ".m2/repository/com/google/code/gson/gson/*/gson-*.jar")) // fails for bad patterns only
		places = append(places, found...)
	}
	for _, place := range places {
		jar, err := os.ReadFile(place)
		if err == nil {
			return jar, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read the JSON library of Java actions: %w", err)
		}
	}
	return nil, errors.New("gson, the JSON library of Java actions, is missing; install libgoogle-gson-java or get com.google.code.gson:gson with Maven")
}
