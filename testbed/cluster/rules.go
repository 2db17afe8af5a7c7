package main

import (
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// observed is what the rules follow from.
type observed struct {
	pods       []*core.Pod
	policies   []*networking.NetworkPolicy
	namespaces map[string]labels.Set
}

// table renders all policies as one nftables table. Each pod that a policy selects has a chain for that direction:
// a rule that allows returns from it, its end drops. A packet between two such pods passes both. What a node itself
// sends, probes for instance, is not forwarded and so always let through, and so are answers.
func (o *observed) table() string {
	var isolated []*core.Pod
	for _, pod := range o.pods {
		if hasOwnAddress(pod) {
			isolated = append(isolated, pod)
		}
	}
	slices.SortFunc(isolated, func(a, b *core.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	slices.SortFunc(o.policies, func(a, b *networking.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	o.pods = isolated

	var chains, forward, input strings.Builder
	for _, pod := range o.pods {
		for _, direction := range []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress} {
			allowed, selected := o.allowed(pod, direction)
			if !selected {
				continue
			}
			name := strings.ToLower(string(direction)) + "_" + strings.ReplaceAll(pod.Status.PodIP, ".", "_")
			fmt.Fprintf(&chains, "  chain %s {\n%s    drop\n  }\n", name, allowed)
			if direction == networking.PolicyTypeIngress {
				fmt.Fprintf(&forward, "    ip daddr %s jump %s\n", pod.Status.PodIP, name)
			} else {
				fmt.Fprintf(&forward, "    ip saddr %s jump %s\n", pod.Status.PodIP, name)
				fmt.Fprintf(&input, "    ip saddr %s jump %s\n", pod.Status.PodIP, name)
			}
		}
	}
	const hook = "  chain %s {\n    type filter hook %[1]s priority filter + 10;\n    ct state established,related accept\n%s  }\n"
	return "table ip testbed-policies\ndelete table ip testbed-policies\ntable ip testbed-policies {\n" +
		chains.String() + fmt.Sprintf(hook, "forward", forward.String()) + fmt.Sprintf(hook, "input", input.String()) + "}\n"
}

// hasOwnAddress tells pods with a network namespace of their own, which have not ended.
func hasOwnAddress(pod *core.Pod) bool {
	ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	return pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !ended
}

// allowed renders what all policies together allow a pod in one direction; false if no policy selects it.
func (o *observed) allowed(pod *core.Pod, direction networking.PolicyType) (string, bool) {
	var rules strings.Builder
	selected := false
	for _, policy := range o.policies {
		if policy.Namespace != pod.Namespace || !matches(&policy.Spec.PodSelector, pod.Labels) ||
			!slices.Contains(policy.Spec.PolicyTypes, direction) {
			continue
		}
		selected = true
		if direction == networking.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				for _, peer := range o.peers("saddr", rule.From, policy.Namespace) {
					peer.pod = pod // whose ports are meant by name
					peer.render(&rules, rule.Ports)
				}
			}
			continue
		}
		for _, rule := range policy.Spec.Egress {
			for _, peer := range o.peers("daddr", rule.To, policy.Namespace) {
				peer.render(&rules, rule.Ports)
			}
		}
	}
	return rules.String(), selected
}

// peer is one other end that a rule allows.
type peer struct {
	match string    // the condition of nftables, with a blank at its end; empty for everybody
	pod   *core.Pod // nil if it is no pod
}

func (o *observed) peers(side string, wanted []networking.NetworkPolicyPeer, namespace string) []peer {
	at := func(pod *core.Pod) peer { return peer{fmt.Sprintf("ip %s %s ", side, pod.Status.PodIP), pod} }
	var peers []peer
	if len(wanted) == 0 {
		peers = append(peers, peer{})
		if side == "daddr" { // everybody, but a port with a name is another number in each pod
			for _, pod := range o.pods {
				peers = append(peers, at(pod))
			}
		}
	}
	for _, want := range wanted {
		if block := want.IPBlock; block != nil {
			match := fmt.Sprintf("ip %s %s ", side, block.CIDR)
			if len(block.Except) > 0 {
				match += fmt.Sprintf("ip %s != { %s } ", side, strings.Join(block.Except, ", "))
			}
			peers = append(peers, peer{match, nil})
			continue
		}
		for _, pod := range o.pods {
			in := pod.Namespace == namespace
			if want.NamespaceSelector != nil {
				in = matches(want.NamespaceSelector, o.namespaces[pod.Namespace])
			}
			if in && (want.PodSelector == nil || matches(want.PodSelector, pod.Labels)) {
				peers = append(peers, at(pod))
			}
		}
	}
	return peers
}

// render writes the rules that allow the peer, on these ports or on all.
func (p peer) render(rules *strings.Builder, ports []networking.NetworkPolicyPort) {
	if len(ports) == 0 {
		fmt.Fprintf(rules, "    %sreturn\n", p.match)
	}
	for _, port := range ports {
		protocol := core.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		transport := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			fmt.Fprintf(rules, "    %smeta l4proto %s return\n", p.match, transport)
		case port.Port.Type == intstr.String:
			for _, number := range namedPorts(p.pod, port.Port.StrVal, protocol) {
				fmt.Fprintf(rules, "    %s%s dport %d return\n", p.match, transport, number)
			}
		case port.EndPort != nil:
			fmt.Fprintf(rules, "    %s%s dport %d-%d return\n", p.match, transport, port.Port.IntVal, *port.EndPort)
		default:
			fmt.Fprintf(rules, "    %s%s dport %d return\n", p.match, transport, port.Port.IntVal)
		}
	}
}

func namedPorts(pod *core.Pod, name string, protocol core.Protocol) []int32 {
	var numbers []int32
	if pod == nil {
		return nil
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && port.Protocol == protocol {
				numbers = append(numbers, port.ContainerPort)
			}
		}
	}
	return numbers
}

func matches(selector *meta.LabelSelector, set map[string]string) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(set))
}
