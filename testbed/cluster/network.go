package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
)

// As many clusters with nodes can run on one machine at a time.
const slots = 16

const (
	services  = "10.96.0.0/16"
	serviceOf = "10.96.0.1" // the API server's Service
	dnsAt     = "10.96.0.10"
)

// addresses are those of one cluster. What its own network is to this machine is a network cable between hostAddress
// and the network namespace; pods have routable addresses behind it.
type addresses int

func (slot addresses) device() string      { return fmt.Sprintf("sp-testbed%d", slot) }
func (slot addresses) host() string        { return fmt.Sprintf("10.201.%d.1", slot) }
func (slot addresses) server() string      { return fmt.Sprintf("10.201.%d.2", slot) }
func (slot addresses) node(n int) string   { return fmt.Sprintf("10.201.%d.%d", slot, 10+n) }
func (slot addresses) pods() string        { return fmt.Sprintf("10.%d.0.0/16", 208+slot) }
func (slot addresses) podsOf(n int) string { return fmt.Sprintf("10.%d.%d.0/24", 208+slot, n) }

// attach connects the network namespace of process pid with the machine's, in the first slot that is free: the
// device's name is the reservation, and the kernel removes the device with the namespace.
func attach(pid int) (int, error) {
	for slot := range slots {
		at := addresses(slot)
		cable := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: at.device()}, PeerName: "eth0", PeerNamespace: netlink.NsPid(pid),
		}
		used, err := isUsed(at.host())
		if err != nil {
			return 0, err
		}
		if used {
			continue
		}
		err = netlink.LinkAdd(cable)
		if errors.Is(err, syscall.EEXIST) {
			continue
		}
		if err == nil {
			err = configure(at.device(), []string{at.host()}, at.pods(), at.server())
		}
		if err != nil {
			return 0, fmt.Errorf("connecting the cluster's network by %s: %w", at.device(), err)
		}
		return slot, nil
	}
	return 0, fmt.Errorf("no network 10.201.0.0/24 to 10.201.%d.0/24 is free: `ip address` shows who has them", slots-1)
}

// isUsed tells whether this machine has the address already, as a cluster's that is not ours or of a network that it
// is in.
func isUsed(address string) (bool, error) {
	wanted := net.ParseIP(address)
	all, err := net.InterfaceAddrs()
	return slices.ContainsFunc(all, func(ours net.Addr) bool {
		network, ok := ours.(*net.IPNet)
		return ok && network.Contains(wanted)
	}), err
}

// detach removes the cable at once; the kernel takes its time with the namespaces of dead processes.
func detach(slot int) {
	if link, err := netlink.LinkByName(addresses(slot).device()); err == nil {
		_ = netlink.LinkDel(link)
	}
}

// network is the same from the inside.
func network(s settings) error {
	at := addresses(s.slot)
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	ours := []string{at.server()}
	for n := 1; n <= s.nodes; n++ {
		ours = append(ours, at.node(n))
	}
	return errors.Join(
		netlink.LinkSetUp(loopback),
		// A packet to a Service needs some route to get as far as the rules that send it to a pod. There is no
		// way out to anywhere else.
		configure("eth0", ours, services, at.host()),
		os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644),
	)
}

func configure(device string, ours []string, behind, gateway string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	for _, address := range ours {
		addr, err := netlink.ParseAddr(address + "/24")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	_, destination, err := net.ParseCIDR(behind)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: destination, Gw: net.ParseIP(gateway)})
}
