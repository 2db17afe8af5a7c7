package main

import (
	"os/exec"
	"strconv"
)

// startServer starts the API server. Objects of a node that is lost are evicted after seconds, not after minutes.
func (c *cluster) startServer(etcd string) error {
	flags := []string{
		"--etcd-servers=" + etcd,
		"--bind-address=" + c.address,
		"--advertise-address=" + c.address,
		"--secure-port=" + strconv.Itoa(c.port),
		"--tls-cert-file=" + c.certificate("kube-apiserver"),
		"--tls-private-key-file=" + c.key("kube-apiserver"),
		"--client-ca-file=" + c.certificate("ca"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.path("pki", "service-accounts.pub"),
		"--service-account-signing-key-file=" + c.key("service-accounts"),
		"--service-cluster-ip-range=" + services,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--default-not-ready-toleration-seconds=5",
		"--default-unreachable-toleration-seconds=5",
		"--kubelet-certificate-authority=" + c.certificate("ca"),
		"--kubelet-client-certificate=" + c.certificate("kube-apiserver-to-kubelet"),
		"--kubelet-client-key=" + c.key("kube-apiserver-to-kubelet"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + c.certificate("front-proxy-ca"),
		"--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.certificate("front-proxy"),
		"--proxy-client-key-file=" + c.key("front-proxy"),
		"--profiling=false",
	}
	if c.nodes == 0 {
		// An address of loopback is none that Kubernetes lets a Service have.
		flags = append(flags, "--endpoint-reconciler-type=none")
	}
	return c.add("kube-apiserver", func() *exec.Cmd { return self("kube-apiserver", flags...) })
}

// startControllers starts the controller manager and the scheduler. Their default limits of requests per second are for
// clusters that live longer; they serve no metrics, which would take ports; a lost node is noticed after 20 s.
func (c *cluster) startControllers() error {
	common := func(name string) []string {
		kubeconfig := c.kubeconfig(name)
		return []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--secure-port=0", "--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=2000",
		}
	}
	manager := append(common("kube-controller-manager"),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+c.key("service-accounts"),
		"--root-ca-file="+c.certificate("ca"),
		"--cluster-signing-cert-file="+c.certificate("ca"),
		"--cluster-signing-key-file="+c.key("ca"),
		"--service-cluster-ip-range="+services,
		"--node-monitor-period=1s",
		"--node-monitor-grace-period=20s",
	)
	err := c.add("kube-controller-manager", func() *exec.Cmd { return self("kube-controller-manager", manager...) })
	if err != nil {
		return err
	}
	scheduler := common("kube-scheduler")
	return c.add("kube-scheduler", func() *exec.Cmd { return self("kube-scheduler", scheduler...) })
}
