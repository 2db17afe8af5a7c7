package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is one that comes up or runs.
type cluster struct {
	settings
	*supervisor
	address string // of the API server
	begin   time.Time
}

func (c *cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}
func (c *cluster) url() string { return "https://" + net.JoinHostPort(c.address, strconv.Itoa(c.port)) }

// run starts all parts of the cluster in this network, says `ready` with the host's address when it can be used, and then
// does what tests ask for. It returns when a part has ended that nobody has killed.
func run(args []string) error {
	s, err := parse("run", args)
	if err != nil {
		return err
	}
	c := &cluster{settings: s, supervisor: newSupervisor(s.dir), address: "127.0.0.1", begin: time.Now()}
	c.supervisor.load = c.loadImage
	host := "127.0.0.1"
	if s.nodes > 0 {
		c.address, host = addresses(s.slot).server(), addresses(s.slot).host()
	}
	for _, directory := range []string{"pki", "log", "etcd"} {
		if err := os.MkdirAll(c.path(directory), 0o700); err != nil {
			return err
		}
	}
	defer c.down()
	if err := c.up(); err != nil {
		return err
	}
	if err := c.listen(); err != nil {
		return err
	}
	fmt.Printf("ready host=%s after %.1f s\n", host, time.Since(c.begin).Seconds())
	return c.serve()
}

func (c *cluster) up() error {
	etcd := fmt.Sprintf("http://127.0.0.1:%d", c.etcdPort)
	peers := fmt.Sprintf("http://127.0.0.1:%d", c.peerPort)
	err := c.add("etcd", func() *exec.Cmd { return self("etcd", c.path("etcd"), etcd, peers) })
	if err != nil {
		return err
	}
	// Slower than a control plane, and needed after it.
	imported := make(chan error, 1)
	for n := 1; n <= c.nodes; n++ {
		if err := c.startRuntime(n); err != nil {
			return err
		}
	}
	go func() { imported <- c.loadAll() }()
	if err := c.certificates(); err != nil {
		return err
	}
	if err := c.startServer(etcd); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig("admin"))
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := c.await("the API server", 2*time.Minute, func(ctx context.Context) error {
		return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}); err != nil {
		return err
	}
	if err := c.startControllers(); err != nil {
		return err
	}
	if c.nodes > 0 {
		if err := <-imported; err != nil {
			return err
		}
		if err := errors.Join(c.startKubelets(), c.startNetwork()); err != nil {
			return err
		}
	}
	if err := c.await("the default service account", time.Minute, func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{})
		return err
	}); err != nil || c.nodes == 0 {
		return err
	}
	if err := c.await("nodes", time.Minute, func(ctx context.Context) error { return nodesReady(ctx, client, c.nodes) }); err != nil {
		return err
	}
	return c.await("DNS", time.Minute, func(ctx context.Context) error {
		dns, err := client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", meta.GetOptions{})
		if err == nil && dns.Status.AvailableReplicas == 0 {
			err = errors.New("no replica is available")
		}
		return err
	})
}

func nodesReady(ctx context.Context, client kubernetes.Interface, wanted int) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	ready := 0
	for _, node := range nodes.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue && len(node.Spec.Taints) == 0 {
				ready++
			}
		}
	}
	if ready < wanted {
		return fmt.Errorf("%d of %d nodes are ready", ready, wanted)
	}
	return nil
}

// await looks until there is no error, and fails at once if a part of the cluster ends.
func (c *cluster) await(what string, limit time.Duration, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		err := look(ctx)
		if err == nil {
			fmt.Printf("%s after %.1f s\n", what, time.Since(c.begin).Seconds())
			return nil
		}
		select {
		case e := <-c.ends:
			if err := c.unasked(e); err != nil {
				return err
			}
		case <-c.asked:
			return errors.New("told to end")
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready within %v: %w; logs are in %s", what, limit, err, c.path("log"))
		}
	}
}
