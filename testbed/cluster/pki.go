package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

func (c *cluster) certificate(name string) string { return c.path("pki", name+".crt") }
func (c *cluster) key(name string) string         { return c.path("pki", name+".key") }
func (c *cluster) kubeconfig(name string) string  { return c.path(name + ".kubeconfig") }

// certificates makes two authorities, and for each part of the cluster and its administrator a certificate for both
// ends of TLS, and a kubeconfig that has it inside.
func (c *cluster) certificates() error {
	ca, err := c.authority("ca")
	if err != nil {
		return err
	}
	frontProxy, err := c.authority("front-proxy-ca")
	if err != nil {
		return err
	}
	tokens, err := c.newKey("service-accounts")
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(tokens.Public())
	if err != nil {
		return err
	}
	if err := writePEM(c.path("pki", "service-accounts.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	type identity struct {
		name, user, group string
		hosts             []string
	}
	identities := []identity{
		{"kube-apiserver", "kube-apiserver", "", []string{
			c.address, serviceOf, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local",
		}},
		{"kube-apiserver-to-kubelet", "kube-apiserver-to-kubelet", "system:masters", nil},
		{"admin", "admin", "system:masters", nil},
		{"kube-controller-manager", "system:kube-controller-manager", "", nil},
		{"kube-scheduler", "system:kube-scheduler", "", nil},
		{"kube-proxy", "system:kube-proxy", "", nil},
	}
	for n := 1; n <= c.nodes; n++ {
		name := nodeName(n)
		identities = append(identities, identity{name, "system:node:" + name, "system:nodes", []string{addresses(c.slot).node(n), name}})
	}
	for _, i := range identities {
		if err := c.issue(ca, i.name, i.user, i.group, i.hosts); err != nil {
			return err
		}
		if err := c.writeKubeconfig(i.name); err != nil {
			return err
		}
	}
	return c.issue(frontProxy, "front-proxy", "front-proxy", "", nil)
}

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (c *cluster) authority(name string) (*authority, error) {
	key, err := c.newKey(name)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := c.sign(name, template, &authority{template, key}, key.Public())
	return &authority{certificate, key}, err
}

func (c *cluster) issue(by *authority, name, user, group string, hosts []string) error {
	key, err := c.newKey(name)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: user}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if group != "" {
		template.Subject.Organization = []string{group}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	_, err = c.sign(name, template, by, key.Public())
	return err
}

func (c *cluster) newKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(c.key(name), "PRIVATE KEY", der)
}

func (c *cluster) sign(name string, template *x509.Certificate, by *authority, key crypto.PublicKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	// From an hour ago: clocks may be set back a little while a test runs.
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key, by.key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(c.certificate(name), "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (c *cluster) writeKubeconfig(name string) error {
	read := func(path string) []byte {
		text, _ := os.ReadFile(path) // written a moment ago
		return text
	}
	config := api.NewConfig()
	config.Clusters["testbed"] = &api.Cluster{Server: c.url(), CertificateAuthorityData: read(c.certificate("ca"))}
	config.AuthInfos[name] = &api.AuthInfo{ClientCertificateData: read(c.certificate(name)), ClientKeyData: read(c.key(name))}
	config.Contexts["testbed"] = &api.Context{Cluster: "testbed", AuthInfo: name}
	config.CurrentContext = "testbed"
	return clientcmd.WriteToFile(*config, c.kubeconfig(name))
}
