package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"
)

//go:embed files
var files embed.FS

func nodeName(n int) string { return fmt.Sprintf("node-%d", n) }

// render writes files/NAME to the path, with what it says about the cluster filled in.
func (c *cluster) render(name string, values map[string]any, path string) error {
	parsed, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, values); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

func (c *cluster) socket(n int) string { return c.path(nodeName(n), "containerd.sock") }

// startRuntime starts the machine's containerd for node n, with all its files in the cluster's directory.
func (c *cluster) startRuntime(n int) error {
	directory := c.path(nodeName(n))
	if err := os.MkdirAll(filepath.Join(directory, "cni"), 0o755); err != nil {
		return err
	}
	plugins, err := cniPlugins()
	if err != nil {
		return err
	}
	values := map[string]any{"Directory": directory, "Socket": c.socket(n), "Plugins": plugins, "Pods": addresses(c.slot).podsOf(n)}
	config := filepath.Join(directory, "containerd.toml")
	if err := errors.Join(
		c.render("containerd.toml", values, config),
		c.render("cni.conflist", values, filepath.Join(directory, "cni", "10-testbed.conflist")),
	); err != nil {
		return err
	}
	return c.add(fmt.Sprintf("containerd-%d", n), func() *exec.Cmd {
		command := exec.Command("containerd", "--config", config)
		// Images are loaded, never pulled: an image that is not there fails at once, at this closed port.
		command.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1", "NO_PROXY=")
		return command
	})
}

// cniPlugins is where Debian has them, or where Kubernetes' own packages put them.
func cniPlugins() (string, error) {
	for _, directory := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(directory, "ptp")); err == nil {
			return directory, nil
		}
	}
	return "", errors.New("the CNI plugins are not installed (Debian: apt-get install containernetworking-plugins)")
}

// loadAll gives every node the images that it needs to run pods at all.
func (c *cluster) loadAll() error {
	archives, err := filepath.Glob(filepath.Join(c.images, "*.tar"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if err := c.loadImage(archive); err != nil {
			return err
		}
	}
	return nil
}

// loadImage gives every node the image of an archive.
func (c *cluster) loadImage(archive string) error {
	loaded := make(chan error)
	for n := 1; n <= c.nodes; n++ {
		go func() { loaded <- c.loadInto(n, archive) }()
	}
	var err error
	for n := 1; n <= c.nodes; n++ {
		err = errors.Join(err, <-loaded)
	}
	return err
}

func (c *cluster) loadInto(n int, archive string) error {
	if err := c.listens(n); err != nil {
		return err
	}
	output, err := exec.Command("ctr", "--address", c.socket(n), "--namespace", "k8s.io", "images", "import", archive).CombinedOutput()
	if err != nil {
		return fmt.Errorf("loading %s into %s: %w: %s", filepath.Base(archive), nodeName(n), err, output)
	}
	return nil
}

// listens waits for containerd's socket.
func (c *cluster) listens(n int) error {
	deadline := time.Now().Add(time.Minute)
	for {
		connection, err := net.Dial("unix", c.socket(n))
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("containerd-%d does not listen: see its log in %s", n, c.path("log"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *cluster) startKubelets() error {
	for n := 1; n <= c.nodes; n++ {
		name, directory := nodeName(n), c.path(nodeName(n))
		config := filepath.Join(directory, "kubelet.yaml")
		values := map[string]any{
			"Directory": directory, "Socket": c.socket(n), "Address": addresses(c.slot).node(n), "DNS": dnsAt,
			"Authority": c.certificate("ca"), "Certificate": c.certificate(name), "Key": c.key(name), "Cgroup": cgroupOf(c.owner, n),
		}
		if err := c.render("kubelet.yaml", values, config); err != nil {
			return err
		}
		err := c.add(fmt.Sprintf("kubelet-%d", n), func() *exec.Cmd {
			return self("kubelet", "--config="+config, "--kubeconfig="+c.kubeconfig(name), "--hostname-override="+name,
				"--node-ip="+addresses(c.slot).node(n), "--root-dir="+filepath.Join(directory, "kubelet"))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// startNetwork starts what makes Services, names and NetworkPolicies work. All nodes are in one network namespace: one
// kube-proxy does it for all.
func (c *cluster) startNetwork() error {
	config := c.path("kube-proxy.yaml")
	values := map[string]any{
		"Kubeconfig": c.kubeconfig("kube-proxy"), "Node": nodeName(1), "Address": addresses(c.slot).node(1), "Pods": addresses(c.slot).pods(),
	}
	dns := c.path("dns.yaml")
	if err := errors.Join(
		c.render("kube-proxy.yaml", values, config),
		c.render("dns.yaml", map[string]any{"DNS": dnsAt}, dns),
		c.add("kube-proxy", func() *exec.Cmd { return self("kube-proxy", "--config="+config) }),
		c.add("kube-netpol", func() *exec.Cmd {
			return self("kube-netpol", c.kubeconfig("admin"))
		}),
	); err != nil {
		return err
	}
	output, err := self("kubectl", "--kubeconfig="+c.kubeconfig("admin"), "create", "--filename="+dns).CombinedOutput()
	if err != nil {
		return fmt.Errorf("creating CoreDNS: %w: %s", err, output)
	}
	return nil
}
