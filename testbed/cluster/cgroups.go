package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const cgroups = "/sys/fs/cgroup"

const cgroupPrefix = "sp-testbed-"

// cgroupOf is the group under which a node's kubelet keeps its pods: each has its own, because a kubelet removes
// groups of pods that it does not know. The owner is the process that removes them.
func cgroupOf(owner, node int) string {
	return fmt.Sprintf("/%s%d/%s", cgroupPrefix, owner, nodeName(node))
}

// hierarchies are the roots of all cgroup trees: one in version 2, one for each controller in version 1.
func hierarchies() []string {
	if _, err := os.Stat(cgroups + "/cgroup.controllers"); err == nil {
		return []string{cgroups}
	}
	all, _ := filepath.Glob(cgroups + "/*")
	return all
}

func createCgroups(owner, nodes int) error {
	removeOrphans()
	for _, root := range hierarchies() {
		for node := 1; node <= nodes; node++ {
			directory := root
			for _, name := range strings.Split(strings.Trim(cgroupOf(owner, node), "/"), "/") {
				parent := directory
				directory = filepath.Join(parent, name)
				if err := os.MkdirAll(directory, 0o755); err != nil {
					return fmt.Errorf("creating a cgroup, which needs root and a writable %s: %w", cgroups, err)
				}
				inherit(parent, directory)
			}
		}
	}
	return nil
}

// inherit gives a new group what it does not have by itself: in version 1 the processors and memory that it may use,
// in version 2 the parent's controllers. What a machine does not have of it is not missed.
func inherit(parent, child string) {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if value, err := os.ReadFile(filepath.Join(parent, file)); err == nil {
			_ = os.WriteFile(filepath.Join(child, file), value, 0o644)
		}
	}
	controllers, _ := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	for _, controller := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

// removeOrphans removes what is left of clusters whose owner was killed.
func removeOrphans() {
	for _, root := range hierarchies() {
		found, _ := filepath.Glob(filepath.Join(root, cgroupPrefix+"*"))
		for _, group := range found {
			owner, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(group), cgroupPrefix))
			if err == nil && syscall.Kill(owner, 0) == syscall.ESRCH {
				removeCgroups(owner)
			}
		}
	}
}

// removeCgroups removes all groups of an owner. The processes in them are dead, but the kernel may not have noticed.
func removeCgroups(owner int) {
	for _, root := range hierarchies() {
		top := filepath.Join(root, filepath.Dir(cgroupOf(owner, 1)))
		var all []string
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for i := len(all) - 1; i >= 0; i-- {
			for tries := 0; tries < 100 && syscall.Rmdir(all[i]) == syscall.EBUSY; tries++ {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}
