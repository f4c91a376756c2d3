"""The operators that are measured: how each is started, what a user gives it, and how one sees that it is done. Both
name their metrics as controller-runtime does."""

import os
import pathlib
import socket
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
PODS_EACH = 4
RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}


class Millrace:
    """ModelDeployments of two groups of two pods."""

    title = "millrace-operator"
    collection = "/apis/millrace.dev/v1alpha1/{}modeldeployments"
    owner_label = "millrace.dev/deployment"  # of pods: the object they belong to
    has_agents = True  # which the operator asks over HTTP

    def __init__(self, program, workers):
        self.program = program
        self.workers = workers
        self.crds = ROOT / "crds"

    def command(self, kubeconfig, metrics, health):
        return [self.program, "--kubeconfig", kubeconfig, "--leader-election-namespace=default",
                f"--metrics-address={metrics}", f"--health-address={health}", "--agent-image=example.test/agent:1",
                "--log-level=warn", f"--workers={self.workers}"]

    def object(self, name):
        return {
            "apiVersion": "millrace.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name},
            "spec": {
                "replicas": 2, "model": {"name": "m", "source": "file:///models/m"},
                "parallelism": {"tensor": 2}, "devices": {"resource": "cpu", "perPod": 1}, "resources": RESOURCES}}

    def is_ready(self, item):
        return any(condition["type"] == "Ready" and condition["status"] == "True"
                   for condition in item.get("status", {}).get("conditions", []))


class KubeRay:
    """RayClusters of a head and three workers: an operator in Go on controller-runtime."""

    title = "KubeRay"
    collection = "/apis/ray.io/v1/{}rayclusters"
    owner_label = "ray.io/cluster"
    has_agents = False

    def __init__(self, program, crds, workers):
        self.program = program
        self.workers = workers
        self.crds = pathlib.Path(crds)

    def command(self, kubeconfig, metrics, health):
        return [self.program, "--kubeconfig", kubeconfig, "--enable-leader-election",
                "--leader-election-namespace=default", f"--metrics-addr={metrics}",
                f"--health-probe-bind-address={health}", f"--reconcile-concurrency={self.workers}",
                "--zap-log-level=error"]

    def object(self, name):
        template = {"spec": {"containers": [{"name": "ray", "image": "example.test/ray:1", "resources": RESOURCES}]}}
        workers = PODS_EACH - 1
        return {
            "apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": name},
            "spec": {
                "rayVersion": "2.46.0", "headGroupSpec": {"rayStartParams": {}, "template": template},
                "workerGroupSpecs": [{"groupName": "w", "replicas": workers, "minReplicas": workers,
                                      "maxReplicas": workers, "rayStartParams": {}, "template": template}]}}

    def is_ready(self, item):
        return item.get("status", {}).get("state") == "ready"


class Process:
    """The program of an operator while it runs."""

    def __init__(self, subject, folder, user):
        self.metrics_port, health_port = free_port(), free_port()
        self.log = open(pathlib.Path(folder) / "operator.log", "a", encoding="utf-8")
        command = subject.command(f"{folder}/{user}.kubeconfig", f"127.0.0.1:{self.metrics_port}",
                                  f"127.0.0.1:{health_port}")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def memory_mib(self, what):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()


def cpu_seconds(pid):
    """Of processor time, of the process and not of its children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]
