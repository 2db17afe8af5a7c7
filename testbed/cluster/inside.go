package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Where the cluster's directory and the images are inside of its mount namespace.
const (
	insideDir    = "/run/cluster"
	insideImages = "/run/images"
)

// inside is the first process of a cluster's namespaces. It prepares them, starts the cluster, and reaps what other
// processes leave behind; it dies with the process outside.
func inside(args []string) error {
	s, err := parse("inside", args)
	if err != nil {
		return err
	}
	if err := mounts(s); err != nil {
		return err
	}
	if _, err := fmt.Fscan(os.Stdin, &s.slot); err != nil {
		return fmt.Errorf("waiting for the network: %w", err)
	}
	if err := network(s); err != nil {
		return err
	}
	s.dir, s.images = insideDir, insideImages
	supervisor := self("run", s.args()...)
	supervisor.Stdout, supervisor.Stderr = os.Stdout, os.Stderr
	supervisor.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := supervisor.Start(); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case pid == supervisor.Process.Pid:
			return fmt.Errorf("exit status %d", status.ExitStatus())
		}
	}
}

// mounts hides from the machine what the programs of a node write outside of their directories: sockets and
// namespaces in /run, caches and links to logs in /var, and what else they may put into /tmp.
func mounts(s settings) error {
	type mount struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}
	// Opened before anything is covered: what is named by its descriptor is found wherever it was.
	named := func(path string) (string, error) {
		directory, err := os.Open(path)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("/proc/self/fd/%d", directory.Fd()), nil
	}
	tmp := filepath.Join(s.dir, "tmp")
	if err := errors.Join(os.Mkdir(tmp, 0o755), os.Chmod(tmp, 0o777|os.ModeSticky)); err != nil {
		return err
	}
	dir, err := named(s.dir)
	if err != nil {
		return err
	}
	images, err := named(s.images)
	if err != nil {
		return err
	}
	for _, m := range []mount{
		{"", "/", "", syscall.MS_PRIVATE | syscall.MS_REC, ""},
		{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=755"},
		{dir, insideDir, "", syscall.MS_BIND, ""},
		{images, insideImages, "", syscall.MS_BIND, ""},
		{insideDir + "/tmp", "/tmp", "", syscall.MS_BIND, ""},
		{"overlay", "/var", "overlay", 0, "lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work"},
	} {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
		if m.target == "/run" {
			for _, directory := range []string{insideDir, insideImages, "/run/var/upper", "/run/var/work"} {
				if err := os.MkdirAll(directory, 0o755); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
