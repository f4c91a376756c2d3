#!/usr/bin/env python3
"""How the operator does with many deployments: a real kube-apiserver with etcd (tests/cluster/control_plane.sh), the
operator's program, and nodes, kubelets and agents that this one process plays.

    operator_scale.py --operator build/release/operator/millrace-operator --deployments 1000

Prints one table: objects per second to their pods and to Ready, reconcile times, API calls, and what the operator
costs at rest. The API server, etcd, the played part and the operator share the machine. Exit 3: no control plane.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from api import Api, ApiError
from nodes import Nodes

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONTROL_PLANE = ROOT / "tests" / "cluster" / "control_plane.sh"
GROUP = "/apis/millrace.dev/v1alpha1"
PODS_EACH = 4  # two groups of two pods
USER = "operator"


def deployment(name):
    return {
        "apiVersion": "millrace.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2, "model": {"name": "m", "source": "file:///models/m"},
            "parallelism": {"tensor": 2}, "devices": {"resource": "cpu", "perPod": 1},
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}}}


class Operator:
    def __init__(self, program, folder, workers):
        self.metrics_port, health_port = free_port(), free_port()
        self.log = open(pathlib.Path(folder) / "operator.log", "w")
        self.process = subprocess.Popen(
            [program, "--kubeconfig", f"{folder}/{USER}.kubeconfig", "--leader-election-namespace=default",
             f"--metrics-address=127.0.0.1:{self.metrics_port}", f"--health-address=127.0.0.1:{health_port}",
             "--agent-image=example.test/agent:1", "--log-level=warn", f"--workers={workers}"],
            stdout=self.log, stderr=self.log)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, what):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def total(metrics, name):
    return sum(value for series, value in metrics.items() if series.split("{")[0] == name)


def quantile(metrics, name, share):
    """Of a histogram, interpolated within the bucket."""
    buckets = {}
    for series, value in metrics.items():
        if series.startswith(name + "_bucket{"):
            bound = float(series.split('le="')[1].split('"')[0])
            buckets[bound] = buckets.get(bound, 0) + value
    wanted = share * max(buckets.values(), default=0)
    low, before = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            return low + (bound - low) * (wanted - before) / max(count - before, 1)
        low, before = bound, count
    return low


def operator_writes(folder, start):
    """Writes of the operator in the audit log since byte `start`: (those of its lease, all others)."""
    lease, others = 0, []
    with open(pathlib.Path(folder) / "audit.log", "rb") as log:
        log.seek(start)
        for line in log:
            if not line.endswith(b"\n"):
                break
            event = json.loads(line)
            if event["user"]["username"] != USER:
                continue
            resource = event.get("objectRef", {}).get("resource", "")
            if resource == "leases":
                lease += 1
            else:
                others.append(f"{event['verb']} {resource}/{event['objectRef'].get('subresource', '')}")
    return lease, others


class Watchers:
    """When each deployment became Ready."""

    def __init__(self, api):
        self.ready = {}
        self.api = api
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        for _, item in self.api.watch(f"{GROUP}/modeldeployments"):
            key = (item["metadata"]["namespace"], item["metadata"]["name"])
            for condition in item.get("status", {}).get("conditions", []):
                if condition["type"] == "Ready" and condition["status"] == "True":
                    self.ready.setdefault(key, time.monotonic())


def serves(api, path):
    try:
        return api.call("GET", path) is not None
    except ApiError:
        return False


def wait(what, holds, limit, operator=None):
    end = time.monotonic() + limit
    while not holds():
        if operator and operator.process.poll() is not None:
            sys.exit(f"the operator ended with status {operator.process.returncode}")
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {limit} s")
        time.sleep(0.1)


def measure(args, folder):
    subprocess.run([CONTROL_PLANE, "user", folder, USER, "system:masters"], check=True)
    kubectl = subprocess.check_output([ROOT / "scripts" / "cluster-tools.sh", "--find", "kubectl"], text=True).strip()
    subprocess.run([kubectl, "--kubeconfig", f"{folder}/admin.kubeconfig", "apply", "-f", ROOT / "crds"], check=True,
                   stdout=subprocess.DEVNULL)
    api = Api(folder)
    wait("ModelDeployments are served", lambda: serves(api, f"{GROUP}/modeldeployments"), 60)
    nodes = Nodes(api, args.nodes, args.threads)
    namespaces = [f"scale-{i}" for i in range(10)]
    for name in namespaces:
        api.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    watchers = Watchers(api)
    operator = Operator(args.operator, folder, args.workers)
    try:
        empty = operator_at_start(operator)
        keys = [(namespaces[i % 10], f"model-{i}") for i in range(args.deployments)]
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key: api.call("POST", f"{GROUP}/namespaces/{key[0]}/modeldeployments",
                                               deployment(key[1])), keys))
        created = time.monotonic() - begin
        has_pods = lambda: all(len(nodes.created.get(key, ())) >= PODS_EACH for key in keys)
        wait("pods", has_pods, args.limit, operator)
        to_pods = max(sorted(nodes.created[key])[PODS_EACH - 1] for key in keys) - begin
        wait("Ready", lambda: len(watchers.ready) >= len(keys), args.limit, operator)
        to_ready = max(watchers.ready.values()) - begin
        metrics = operator.metrics()
        busy_cpu = operator.cpu_seconds()
        print(f"deployments                     {len(keys)} on {args.nodes} nodes, {PODS_EACH} pods each")
        print(f"created by the user in          {created:.1f} s")
        print(f"to their pods                   {len(keys) / to_pods:.1f} objects/s ({to_pods:.1f} s)")
        print(f"to Ready                        {len(keys) / to_ready:.1f} objects/s ({to_ready:.1f} s)")
        for share in (0.5, 0.99):
            value = quantile(metrics, "controller_runtime_reconcile_time_seconds", share)
            print(f"reconcile p{share * 100:<2.0f}                   {value * 1000:.1f} ms")
        print(f"reconciles                      {total(metrics, 'controller_runtime_reconcile_total') / len(keys):.1f} for each object")
        print(f"API calls                       {total(metrics, 'rest_client_requests_total') / len(keys):.1f} for each object")
        print(f"operator's processor time       {busy_cpu / len(keys) * 1000:.0f} ms for each object")
        print(f"memory before the first object  {empty:.1f} MiB", flush=True)
        rest(args, folder, operator, nodes, "at rest")
        operator.stop()
        operator = Operator(args.operator, folder, args.workers)
        operator_at_start(operator)
        rest(args, folder, operator, nodes, "at rest after a restart")
    finally:
        api.closed = True
        operator.stop()
    if nodes.failures:
        print(f"the played kubelets were refused {nodes.failures} writes", file=sys.stderr)


def operator_at_start(operator):
    def answers():
        try:
            return "leader_election_master_status" in str(operator.metrics())
        except OSError:
            return False
    wait("the operator's start", answers, 60, operator)
    return operator.memory_mib("VmRSS")


def rest(args, folder, operator, nodes, when):
    time.sleep(args.settle)
    audit = os.path.getsize(pathlib.Path(folder) / "audit.log")
    cpu, asked, accepted, begin = operator.cpu_seconds(), nodes.agents.asked(), nodes.agents.accepted, time.monotonic()
    reconciles = total(operator.metrics(), "controller_runtime_reconcile_total")
    time.sleep(args.rest)
    seconds = time.monotonic() - begin
    lease, others = operator_writes(folder, audit)
    print(f"{when}, over {seconds:.0f} s:")
    print(f"  resident memory               {operator.memory_mib('VmRSS'):.1f} MiB (most {operator.memory_mib('VmHWM'):.1f})")
    print(f"  of one core                   {(operator.cpu_seconds() - cpu) / seconds * 100:.1f} %")
    print(f"  agents asked                  {(nodes.agents.asked() - asked) / seconds:.0f} times a second, "
          f"{(nodes.agents.accepted - accepted) / seconds:.0f} new connections")
    reconciled = total(operator.metrics(), "controller_runtime_reconcile_total") - reconciles
    print(f"  reconciles                    {reconciled * 60 / seconds:.0f} a minute")
    print(f"  writes                        {len(others) * 60 / seconds:.0f} a minute, and {lease * 60 / seconds:.0f} of its lease")
    for what in sorted(set(others)):
        print(f"    {what}: {others.count(what)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--operator", required=True, help="the program millrace-operator")
    parser.add_argument("--deployments", type=int, default=50)
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--workers", type=int, default=16, help="of the operator")
    parser.add_argument("--threads", type=int, default=8, help="of the played kubelets")
    parser.add_argument("--settle", type=float, default=40, help="seconds between Ready and the measurement at rest")
    parser.add_argument("--rest", type=float, default=60, help="seconds of the measurement at rest")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which it is given up")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = subprocess.run([CONTROL_PLANE, "start", folder, "--owner", str(os.getpid())], check=False)
        if started.returncode != 0:
            sys.exit(started.returncode)
        try:
            measure(args, folder)
        finally:
            subprocess.run([CONTROL_PLANE, "stop", folder], check=False)


if __name__ == "__main__":
    main()
