// Package browser shows an address in the browser of this terminal's user.
package browser

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Open shows an address in a browser: the one that BROWSER names, else the system's. BROWSER is a list of
// commands, separated as in PATH; %s in a command stands for the address, which otherwise follows it. The browser
// prints nothing here, and Ctrl-C in this terminal does not reach it.
//
// github.com/cli/browser, which would do the rest, waits for the browser's end, in this process's
// group, and does not read BROWSER.
func Open(address string, env func(name string) string) error { return open(address, env, time.Second) }

// open waits as long as patience for a browser to fail. One that still runs is left alone.
func open(address string, env func(name string) string, patience time.Duration) error {
	failure := errors.New("no browser was found")
	for _, command := range commands(env) {
		words := split(command)
		if len(words) == 0 {
			continue
		}
		if !strings.Contains(command, "%s") {
			words = append(words, "%s")
		}
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "%s", address)
		}
		if failure = start(words, patience); failure == nil {
			return nil
		}
	}
	return failure
}

// commands returns the commands that can open an address, the preferred one first.
func commands(env func(name string) string) []string {
	unix := []string{"xdg-open", "x-www-browser", "www-browser"}
	switch chosen := env("BROWSER"); {
	case chosen != "":
		return strings.Split(chosen, string(os.PathListSeparator))
	case runtime.GOOS == "darwin":
		return []string{"open"}
	case runtime.GOOS == "windows":
		return []string{"rundll32 url.dll,FileProtocolHandler"}
	case env("WSL_DISTRO_NAME") != "": // the last one is Windows' own; its shells would interpret the address
		return append(unix, "wslview", "rundll32.exe url.dll,FileProtocolHandler")
	default:
		return unix
	}
}

// split splits a command at blanks outside of quotes and removes the quotes, as Python's webbrowser and gh do: the
// path of a browser may contain blanks. A backslash stands for itself, because of Windows' paths.
func split(command string) (words []string) {
	quoted := regexp.MustCompile(`"([^"]*)"|'([^']*)'`)
	for _, word := range regexp.MustCompile(`(?:"[^"]*"|'[^']*'|\S)+`).FindAllString(command, -1) {
		words = append(words, quoted.ReplaceAllString(word, "$1$2"))
	}
	return words
}

func start(words []string, patience time.Duration) error {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.SysProcAttr = apart()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return nil
	}
}
