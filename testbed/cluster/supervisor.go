package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// A part is one process of the cluster, which a test may kill, freeze and start again.
type part struct {
	command func() *exec.Cmd
	process *os.Process // nil while it is down
	ended   chan struct{}
}

// end is the news that a process ended.
type end struct {
	name    string
	process *os.Process
	state   string
}

// request is what a test asks for on the control socket; its answer is empty if it was done.
type request struct {
	words  []string
	answer chan string
}

type supervisor struct {
	at       string                     // its directory
	load     func(archive string) error // gives an image to all nodes
	parts    map[string]*part
	ends     chan end
	requests chan request
	asked    chan os.Signal // to end
}

func newSupervisor(at string) *supervisor {
	s := &supervisor{
		at: at, parts: map[string]*part{}, ends: make(chan end), requests: make(chan request), asked: make(chan os.Signal, 1),
	}
	signal.Notify(s.asked, syscall.SIGTERM, syscall.SIGINT)
	return s
}

// add starts a part, with its output in log/NAME.log.
func (s *supervisor) add(name string, command func() *exec.Cmd) error {
	s.parts[name] = &part{command: command}
	return s.start(name)
}

func (s *supervisor) start(name string) error {
	p := s.parts[name]
	if p.process != nil {
		return fmt.Errorf("%s is running already", name)
	}
	log, err := os.OpenFile(s.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := p.command()
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	p.process, p.ended = command.Process, make(chan struct{})
	go func(ended chan struct{}) {
		_ = command.Wait()
		close(ended)
		s.ends <- end{name, command.Process, command.ProcessState.String()}
	}(p.ended)
	return nil
}

func (s *supervisor) log(name string) string { return filepath.Join(s.at, "log", name+".log") }

// unasked turns the end of a part into an error, unless a test has killed it.
func (s *supervisor) unasked(e end) error {
	p := s.parts[e.name]
	if p == nil || p.process != e.process {
		return nil
	}
	text, _ := os.ReadFile(s.log(e.name))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s ended: %s\n%s", e.name, e.state, strings.Join(lines[max(0, len(lines)-20):], "\n"))
}

// serve does what tests ask for until a part ends by itself or all are to end.
func (s *supervisor) serve() error {
	for {
		select {
		case e := <-s.ends:
			if err := s.unasked(e); err != nil {
				return err
			}
		case r := <-s.requests:
			if err := s.act(r.words); err != nil {
				r.answer <- err.Error()
			}
			close(r.answer)
		case <-s.asked:
			return nil
		}
	}
}

// down kills all parts, and waits until they are dead: nobody writes any more.
func (s *supervisor) down() {
	for name := range s.parts {
		_ = s.kill(name)
	}
}

func (s *supervisor) kill(name string) error {
	p := s.parts[name]
	process := p.process
	if process == nil {
		return fmt.Errorf("%s is down", name)
	}
	p.process = nil
	if err := process.Kill(); err != nil {
		return err
	}
	<-p.ended
	return nil
}

func (s *supervisor) act(words []string) error {
	if len(words) != 2 {
		return fmt.Errorf("a request is a verb and a name")
	}
	verb, name := words[0], words[1]
	if verb == "load" {
		return s.load(filepath.Join(s.at, name))
	}
	p := s.parts[name]
	if p == nil {
		return fmt.Errorf("the cluster has no %s", name)
	}
	if verb == "start" {
		return s.start(name)
	}
	if p.process == nil {
		return fmt.Errorf("%s is down", name)
	}
	switch verb {
	case "kill":
		return s.kill(name)
	case "freeze":
		return p.process.Signal(syscall.SIGSTOP)
	case "thaw":
		return p.process.Signal(syscall.SIGCONT)
	default:
		return fmt.Errorf("no such request: %s", verb)
	}
}

// listen takes requests from the socket: one line each, answered by one line, which is empty if it was done.
func (s *supervisor) listen() error {
	listener, err := net.Listen("unix", filepath.Join(s.at, "control"))
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				line, err := bufio.NewReader(connection).ReadString('\n')
				if err != nil {
					return
				}
				r := request{strings.Fields(line), make(chan string, 1)}
				s.requests <- r
				fmt.Fprintln(connection, strings.ReplaceAll(<-r.answer, "\n", " "))
			}()
		}
	}()
	return nil
}
