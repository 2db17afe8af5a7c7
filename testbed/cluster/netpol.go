package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// netpol KUBECONFIG enforces NetworkPolicies, which the CNI plugins of the test bed do not know: whenever a policy,
// a pod or a namespace changes, it loads one table of nftables, in one transaction.
func netpol(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: kube-netpol KUBECONFIG")
	}
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	change := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { change() }, UpdateFunc: func(any, any) { change() }, DeleteFunc: func(any) { change() },
		})
		if err != nil {
			return err
		}
	}
	factory.Start(nil)
	factory.WaitForCacheSync(nil)

	loaded := ""
	for range changed {
		var state observed
		state.pods, err = pods.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		state.policies, err = policies.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		all, err := namespaces.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		state.namespaces = map[string]labels.Set{}
		for _, namespace := range all {
			state.namespaces[namespace.Name] = namespace.Labels
		}
		rules := state.table()
		if rules == loaded {
			continue
		}
		if err := loadRules(rules); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, rules)
			time.AfterFunc(time.Second, change)
			continue
		}
		loaded = rules
	}
	return nil
}

func loadRules(rules string) error {
	nft := exec.Command("nft", "--file", "-")
	nft.Stdin = strings.NewReader(rules)
	output, err := nft.CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft: %w: %s", err, output)
	}
	return nil
}
