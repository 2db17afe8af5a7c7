package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// settings are what `cluster up` was asked for.
type settings struct {
	dir      string // for all files; as the cluster's own processes see it
	images   string // archives that every node gets
	nodes    int    // 0: the control plane alone
	port     int    // of the API server
	etcdPort int
	peerPort int // etcd's other port
	slot     int // see addresses
	owner    int // see cgroupOf
}

func parse(name string, args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&s.dir, "dir", "", "an empty directory for all files")
	flags.StringVar(&s.images, "images", "", "a directory of image archives that every node gets")
	flags.IntVar(&s.nodes, "nodes", 0, "how many nodes; with any, the cluster has a network of its own and needs root")
	flags.IntVar(&s.port, "port", 6443, "the API server's port")
	flags.IntVar(&s.etcdPort, "etcd-port", 2379, "etcd's port for clients")
	flags.IntVar(&s.peerPort, "peer-port", 2380, "etcd's port for its peers, of which there are none")
	flags.IntVar(&s.slot, "slot", 0, "which of the clusters of this machine it is")
	flags.IntVar(&s.owner, "owner", os.Getpid(), "the process that removes the cluster's cgroups")
	err := flags.Parse(args)
	if err == nil && s.dir == "" {
		err = fmt.Errorf("-dir is missing")
	}
	return s, err
}

func (s settings) args() []string {
	return []string{"-dir=" + s.dir, "-images=" + s.images, "-nodes=" + strconv.Itoa(s.nodes), "-port=" + strconv.Itoa(s.port),
		"-etcd-port=" + strconv.Itoa(s.etcdPort), "-peer-port=" + strconv.Itoa(s.peerPort), "-slot=" + strconv.Itoa(s.slot), "-owner=" + strconv.Itoa(s.owner)}
}

// up runs a cluster until SIGTERM, and leaves nothing of it but the files in its directory. A cluster with nodes is
// run as the first process of namespaces of its own: when that dies, so do all others, its network and its mounts.
func up(args []string) error {
	s, err := parse("up", args)
	if err != nil {
		return err
	}
	if s.nodes == 0 {
		return run(args)
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)

	connected, connect, err := os.Pipe()
	if err != nil {
		return err
	}
	first := self("inside", s.args()...)
	first.Stdin, first.Stdout, first.Stderr = connected, os.Stdout, os.Stderr
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := first.Start(); err != nil {
		return fmt.Errorf("starting the first process of a cluster's namespaces, which needs root: %w", err)
	}
	connected.Close()
	s.slot, err = attach(first.Process.Pid)
	if err == nil {
		defer detach(s.slot)
		defer removeCgroups(s.owner)
		err = createCgroups(s.owner, s.nodes)
	}
	if err != nil {
		first.Process.Kill()
		first.Wait()
		return err
	}
	fmt.Fprintln(connect, s.slot)
	connect.Close()

	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case err = <-ended:
		return fmt.Errorf("the cluster ended: %w", err)
	case <-asked:
		first.Process.Kill()
		<-ended
		return nil
	}
}

// self is a command of this very program, found even where its path is not.
func self(program string, args ...string) *exec.Cmd {
	command := exec.Command("/proc/self/exe", args...)
	command.Args[0] = program
	return command
}
