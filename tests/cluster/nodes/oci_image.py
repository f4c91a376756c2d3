#!/usr/bin/env python3
"""Writes an OCI image as a tar file that `ctr images import` takes, without a container engine.

    oci_image.py OUT.tar NAME:TAG --entrypoint /usr/bin/program [--user 65532] [--labels k=v] [--libraries] PATH[=TARGET]...

Every PATH goes into the one layer, at its own place or at TARGET. With --libraries, so do the shared libraries that the
programs among them need, as ldd names them: together with a Debian's own files that is what the Dockerfile installs.
The same input gives the same bytes.
"""
import argparse
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile

PATH_VARIABLE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def libraries_of(program):
    """Paths as the loader asks for them."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return {path for path in re.findall(r"(/[^ ]+) \(0x", listing)}


class Layer:
    """A root file system, as a tar with merged /usr like Debian's."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)
        self.folders = set()
        for link in ("bin", "sbin", "lib", "lib64"):
            self._entry(link, tarfile.SYMTYPE, 0o777, link=f"usr/{link}")
            self.folder(f"usr/{link}")

    def _entry(self, name, kind, mode, data=b"", link=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.linkname = kind, mode, len(data), link
        self.tar.addfile(info, io.BytesIO(data))

    def folder(self, name, mode=0o755):
        parts = pathlib.PurePosixPath(name).parts
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            if path not in self.folders:
                self.folders.add(path)
                self._entry(path, tarfile.DIRTYPE, mode if end == len(parts) else 0o755)

    def file(self, target, data, mode):
        target = re.sub(r"^/?(bin|sbin|lib|lib64)/", r"usr/\1/", target).lstrip("/")
        self.folder(os.path.dirname(target))
        self._entry(target, tarfile.REGTYPE, mode, data)

    def copy(self, source, target):
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.file(target, pathlib.Path(source).read_bytes(), mode)

    def finish(self):
        self.tar.close()
        return self.buffer.getvalue()


def root_file_system(paths, with_libraries):
    layer = Layer()
    layer.folder("tmp", 0o1777)
    layer.file("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\nnonroot:x:65532:65532::/:/usr/sbin/nologin\n", 0o644)
    layer.file("etc/group", b"root:x:0:\nnonroot:x:65532:\n", 0o644)
    layer.file("etc/nsswitch.conf", b"passwd: files\nhosts: files dns\n", 0o644)
    needed = {}
    for path in paths:
        source, _, target = path.partition("=")
        needed[target or source] = source
        if with_libraries:
            needed.update((library, library) for library in libraries_of(source))
    for target in sorted(needed):
        layer.copy(needed[target], target)
    return layer.finish()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image(name, layer, entrypoint, user, labels):
    """The blobs and the index of an OCI layout, by their path in it."""
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": [PATH_VARIABLE], "Entrypoint": [entrypoint], "User": user, "WorkingDir": "/", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created_by": "oci_image.py"}]}, sort_keys=True).encode()

    def descriptor(kind, data, **more):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data), **more}

    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config),
        "layers": [descriptor("layer.v1.tar", layer)]}, sort_keys=True).encode()
    index = json.dumps({
        "schemaVersion": 2,
        "manifests": [descriptor("manifest.v1+json", manifest, annotations={"io.containerd.image.name": name})]}).encode()
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index}
    for blob in (config, manifest, layer):
        files["blobs/sha256/" + hashlib.sha256(blob).hexdigest()] = blob
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("--entrypoint", required=True)
    parser.add_argument("--user", default="65532:65532")
    parser.add_argument("--label", action="append", default=[])
    parser.add_argument("--libraries", action="store_true")
    parser.add_argument("paths", nargs="+")
    arguments = parser.parse_args()
    layer = root_file_system(arguments.paths, arguments.libraries)
    labels = dict(label.split("=", 1) for label in arguments.label)
    with tarfile.open(arguments.out, "w") as tar:
        for name, data in image(arguments.name, layer, arguments.entrypoint, arguments.user, labels).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
