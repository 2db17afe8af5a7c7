// Command image writes an image FROM scratch:
//
//	image NAME:TAG ARCHIVE PROGRAM...
//
// The programs are in /usr/local/bin, with the libraries that they are linked with. It runs the first of them, as a
// user who is not root.
package main

import (
	"archive/tar"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

const binaries = "/usr/local/bin"

// What a program without a distribution around it expects to find.
var surroundings = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
	"etc/group":         "root:x:0:\nnonroot:x:65532:\n",
	"etc/nsswitch.conf": "hosts: files dns\n",
}

// entry is a file of an image: where it is on this machine, and its path in the image.
type entry struct{ source, target string }

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: image NAME:TAG ARCHIVE PROGRAM...")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(tag, path string, programs []string) error {
	name, err := reference.ParseDockerRef(tag)
	if err != nil {
		return fmt.Errorf("%q: %w", tag, err)
	}
	var entries []entry
	for _, program := range programs {
		entries = append(entries, entry{program, filepath.Join(binaries, filepath.Base(program))})
		libraries, err := libraries(program)
		if err != nil {
			return err
		}
		for _, library := range libraries {
			if e := (entry{library, library}); !slices.Contains(entries, e) {
				entries = append(entries, e)
			}
		}
	}
	archive, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := writeArchive(archive, name.String(), entries); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return archive.Close()
}

// libraries are the files that ldd names, the loader among them; none for a static program.
func libraries(program string) ([]string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return nil, fmt.Errorf("%s is no program: %w", program, err)
	}
	defer file.Close()
	if !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, nil
	}
	output, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", program, err)
	}
	var paths []string
	for line := range strings.Lines(string(output)) {
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("%s is linked with a library that is not there: %s", program, strings.TrimSpace(line))
		}
		// `libm.so.6 => /lib/libm.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				paths = append(paths, word)
			}
		}
	}
	return paths, nil
}

// writeArchive writes an OCI layout with one image of one layer. The layer is made twice, first for its digest, which
// has to stand before it: programs with their symbols are too large to be held.
func writeArchive(w io.Writer, name string, entries []entry) error {
	digest, size := sha256.New(), counter(0)
	if err := writeLayer(io.MultiWriter(digest, &size), entries); err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	header := func(name string, size int64) error {
		return archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size})
	}
	type object = map[string]any
	describe := func(kind, digest string, size int64) object {
		return object{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": size}
	}
	put := func(name string, content []byte) error {
		if err := header(name, int64(len(content))); err != nil {
			return err
		}
		_, err := archive.Write(content)
		return err
	}
	blob := func(kind string, content any) (object, error) {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		digest := fmt.Sprintf("%x", sha256.Sum256(text))
		return describe(kind, digest, int64(len(text))), put("blobs/sha256/"+digest, text)
	}

	layer := describe("layer.v1.tar", fmt.Sprintf("%x", digest.Sum(nil)), int64(size))
	if err := header(fmt.Sprintf("blobs/sha256/%x", digest.Sum(nil)), int64(size)); err != nil {
		return err
	}
	if err := writeLayer(archive, entries); err != nil {
		return err
	}
	config, err := blob("config.v1+json", object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": []string{entries[0].target}, "Env": []string{"PATH=" + binaries}, "User": "65532:65532", "WorkingDir": "/"},
		"rootfs": object{"type": "layers", "diff_ids": []any{layer["digest"]}},
	})
	if err != nil {
		return err
	}
	manifest, err := blob("manifest.v1+json", object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []any{layer},
	})
	if err != nil {
		return err
	}
	manifest["annotations"] = object{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": []any{manifest}})
	if err != nil {
		return err
	}
	if err := put("index.json", index); err != nil {
		return err
	}
	if err := put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return archive.Close()
}

// writeLayer is the same, byte by byte, whenever the files are: nothing of the machine's users and times is in it.
func writeLayer(w io.Writer, entries []entry) error {
	layer := tar.NewWriter(w)
	if err := layer.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
		return err
	}
	for _, name := range []string{"etc/group", "etc/nsswitch.conf", "etc/passwd"} {
		text := surroundings[name]
		if err := layer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := io.WriteString(layer, text); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := writeFile(layer, e); err != nil {
			return err
		}
	}
	return layer.Close()
}

func writeFile(layer *tar.Writer, e entry) error {
	file, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := layer.WriteHeader(&tar.Header{Name: strings.TrimPrefix(e.target, "/"), Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(layer, file)
	return err
}

// counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(bytes []byte) (int, error) {
	*c += counter(len(bytes))
	return len(bytes), nil
}
