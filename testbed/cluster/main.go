// Command cluster is Kubernetes in one program: etcd, the control plane, kubelet, kube-proxy and kubectl, each under
// its own name, and `cluster up`, which runs a cluster for a test.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	_ "time/tzdata" // schedules with time zones, where the machine has no list of them

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = map[string]func(args []string) error{
	"etcd":                    etcd,
	"inside":                  inside,
	"kube-apiserver":          component(apiserver.NewAPIServerCommand),
	"kube-controller-manager": component(controllermanager.NewControllerManagerCommand),
	"kube-netpol":             netpol,
	"kube-proxy":              component(kubeproxy.NewProxyCommand),
	"kube-scheduler":          component(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubectl":                 runKubectl,
	"kubelet":                 component(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"run":                     run,
	"up":                      up,
}

// The signal that ends a child when its parent dies follows the parent's thread: all children are started by the
// first thread, which lives as long as the process.
func init() { runtime.LockOSThread() }

func main() {
	// Components parse os.Args themselves: it is made to look as if each were a program of its own.
	name := filepath.Base(os.Args[0])
	if programs[name] == nil && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	program := programs[name]
	if program == nil {
		fmt.Fprintln(os.Stderr, "usage: cluster PROGRAM ARGUMENTS, or a link to it that has the program's name")
		os.Exit(2)
	}
	if err := program(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func component(command func() *cobra.Command) func([]string) error {
	return func([]string) error {
		os.Exit(cli.Run(command()))
		return nil
	}
}

func runKubectl([]string) error {
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	return nil
}
