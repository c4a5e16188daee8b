package main

import (
	"errors"
	"io"
	"os"
	"strings"
)

// childMarker tells a process that it is a flusher's: it starts none of its own, and its
// environment comes through a pipe.
const childMarker = "ARCADE_USAGE_CHILD"

// inheritedNames are the variables that a flusher needs: where the files are, where to send,
// and how to get there.
var inheritedNames = [...]string{
	"HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "ARCADE_WORK_DIR",
	"ARCADE_USAGE_HOST", "ARCADE_USAGE_KEY", "ARCADE_USAGE_TRACKING",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// pipeLimit is the size in bytes that every system's pipe holds without a reader. The writer
// must not wait: its user is waiting for the prompt.
const pipeLimit = 4096

// childEnvironment returns the variables for a flusher. The API key goes along only when an
// event waits for its principal.
func (a *app) childEnvironment(withKey bool) []string {
	names := inheritedNames[:]
	if withKey {
		names = append(names[:len(names):len(names)], "ARCADE_API_KEY")
	}
	var environment []string
	for _, name := range names {
		if value := a.env(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// startFlusher starts a detached `arcade usage flush --detached` and does not wait for it. The
// environment goes through a pipe, not into the process's own, which others may read
// (/proc/*/environ, ps e): a proxy's password and an API key travel in it.
func startFlusher(environment []string) error {
	return startDetached(environment, append(systemEnvironment(), childMarker+"=1"))
}

// startDetached starts it with environment through the pipe and visible in the process's own.
func startDetached(environment, visible []string) error {
	payload := strings.Join(environment, "\x00")
	if len(payload) > pipeLimit {
		return errors.New("the environment is too large")
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	stdin, err := filledPipe(payload)
	if err != nil {
		return err
	}
	defer stdin.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	keepDescriptors()
	process, err := os.StartProcess(program, []string{program, "usage", "flush", "--detached"}, &os.ProcAttr{
		Dir:   neutralDirectory(),
		Env:   visible,
		Files: []*os.File{stdin, null, null}, // inheriting stderr would keep $(arcade ...) waiting
		Sys:   detached(),
	})
	if err != nil {
		return err
	}
	return process.Release()
}

func filledPipe(content string) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(writer, content)
	if closeErr := writer.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		reader.Close()
		return nil, err
	}
	return reader, nil
}

// inheritEnvironment takes up what startFlusher wrote. It sets the process's variables because
// net/http and crypto/x509 read proxies and certificates from there.
func (a *app) inheritEnvironment() error {
	payload, err := io.ReadAll(io.LimitReader(a.in, pipeLimit))
	if err != nil {
		return err
	}
	for entry := range strings.SplitSeq(string(payload), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}
