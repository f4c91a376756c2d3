#!/usr/bin/env python3
"""How the operator does with many deployments: a real kube-apiserver with etcd (tests/cluster/control_plane.sh), the
operator's program, and nodes, kubelets and agents that this one process plays.

    operator_scale.py --operator build/release/bin/millrace-operator --deployments 1000
                      [--kuberay ray-operator --kuberay-crds FOLDER]

Prints a table: objects per second to their pods and to Ready, reconcile times, API calls, and what the operator
costs at rest; with --kuberay (its program and CRDs, of a version of your choice) a second one for KubeRay's operator
over the same number of RayClusters of as many pods, on a control plane of its own. The API server, etcd, the played
part and the operator share the machine. Exit 3: no control plane.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from api import Api, ApiError
from nodes import Nodes
from subjects import PODS_EACH, ROOT, KubeRay, Millrace, Process, cpu_seconds

CONTROL_PLANE = ROOT / "tests" / "cluster" / "control_plane.sh"
USER = "operator"


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
                subresource = event["objectRef"].get("subresource")
                others.append(f"{event['verb']} {resource}" + (f"/{subresource}" if subresource else ""))
    return lease, others


class Watchers:
    """When each object became ready."""

    def __init__(self, api, subject):
        self.ready = {}
        self.api = api
        self.subject = subject
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        for _, item in self.api.watch(self.subject.collection.format("")):
            if self.subject.is_ready(item):
                self.ready.setdefault((item["metadata"]["namespace"], item["metadata"]["name"]), time.monotonic())


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


def measure(args, subject, folder):
    subprocess.run([CONTROL_PLANE, "user", folder, USER, "system:masters"], check=True)
    kubectl = subprocess.check_output([ROOT / "scripts" / "cluster-tools.sh", "--find", "kubectl"], text=True).strip()
    subprocess.run([kubectl, "--kubeconfig", f"{folder}/admin.kubeconfig", "create", "-f", subject.crds], check=True,
                   stdout=subprocess.DEVNULL)
    api = Api(folder)
    wait("its objects are served", lambda: serves(api, subject.collection.format("")), 60)
    nodes = Nodes(api, subject, args.nodes, args.threads)
    namespaces = [f"scale-{i}" for i in range(10)]
    for name in namespaces:
        api.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    watchers = Watchers(api, subject)
    operator = Process(subject, folder, USER)
    try:
        empty = operator_at_start(operator)
        keys = [(namespaces[i % 10], f"model-{i}") for i in range(args.deployments)]
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key: api.call("POST", subject.collection.format(f"namespaces/{key[0]}/"),
                                               subject.object(key[1])), keys))
        created = time.monotonic() - begin
        has_pods = lambda: all(len(nodes.created.get(key, ())) >= PODS_EACH for key in keys)
        wait("pods", has_pods, args.limit, operator)
        to_pods = max(sorted(nodes.created[key])[PODS_EACH - 1] for key in keys) - begin
        wait("Ready", lambda: len(watchers.ready) >= len(keys), args.limit, operator)
        to_ready = max(watchers.ready.values()) - begin
        metrics = operator.metrics()
        busy_cpu = operator.cpu_seconds()
        servers_cpu = control_plane_cpu(folder)
        print(f"\n{subject.title}")
        print(f"objects                         {len(keys)} on {args.nodes} nodes, {PODS_EACH} pods each")
        print(f"created by the user in          {created:.1f} s")
        print(f"to their pods                   {len(keys) / to_pods:.1f} objects/s ({to_pods:.1f} s)")
        print(f"to Ready                        {len(keys) / to_ready:.1f} objects/s ({to_ready:.1f} s)")
        for share in (0.5, 0.99):
            value = quantile(metrics, "controller_runtime_reconcile_time_seconds", share)
            print(f"reconcile p{share * 100:<2.0f}                   {value * 1000:.1f} ms")
        print(f"reconciles                      {total(metrics, 'controller_runtime_reconcile_total') / len(keys):.1f} for each object")
        print(f"API calls                       {total(metrics, 'rest_client_requests_total') / len(keys):.1f} for each object")
        _, writes = operator_writes(folder, 0)
        for what, count in collections.Counter(writes).most_common():
            if count >= len(keys) / 10:
                print(f"  {what:<40} {count / len(keys):.1f}")
        print(f"operator's processor time       {busy_cpu / len(keys) * 1000:.0f} ms for each object")
        print(f"API server's and etcd's         {servers_cpu / len(keys) * 1000:.0f} ms for each object")
        print(f"memory before the first object  {empty:.1f} MiB", flush=True)
        rest(args, folder, operator, nodes, "at rest")
        operator.stop()
        operator = Process(subject, folder, USER)
        operator_at_start(operator)
        rest(args, folder, operator, nodes, "at rest after a restart")
    finally:
        api.closed = True
        operator.stop()
    if nodes.failures:
        print(f"the played kubelets were refused {nodes.failures} writes", file=sys.stderr)


def control_plane_cpu(folder):
    return sum(cpu_seconds((pathlib.Path(folder) / f"{server}.pid").read_text().strip()) for server in ("apiserver", "etcd"))


def operator_at_start(operator):
    def answers():
        try:
            return total(operator.metrics(), "leader_election_master_status") == 1
        except OSError:
            return False
    wait("the operator's start", answers, 60, operator)
    return operator.memory_mib("VmRSS")


def rest(args, folder, operator, nodes, when):
    time.sleep(args.settle)
    audit = os.path.getsize(pathlib.Path(folder) / "audit.log")
    agents = nodes.agents
    cpu, begin = operator.cpu_seconds(), time.monotonic()
    asked, accepted = (agents.asked(), agents.accepted) if agents else (0, 0)
    reconciles = total(operator.metrics(), "controller_runtime_reconcile_total")
    time.sleep(args.rest)
    seconds = time.monotonic() - begin
    lease, others = operator_writes(folder, audit)
    print(f"{when}, over {seconds:.0f} s:")
    print(f"  resident memory               {operator.memory_mib('VmRSS'):.1f} MiB (most {operator.memory_mib('VmHWM'):.1f})")
    print(f"  of one core                   {(operator.cpu_seconds() - cpu) / seconds * 100:.1f} %")
    if agents:
        print(f"  agents asked                  {(agents.asked() - asked) / seconds:.0f} times a second, "
              f"{(agents.accepted - accepted) / seconds:.0f} new connections")
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
    parser.add_argument("--kuberay", help="the program of KubeRay's operator, to be measured as well")
    parser.add_argument("--kuberay-crds", help="the folder with its CRDs")
    args = parser.parse_args()
    subjects = [Millrace(args.operator, args.workers)]
    if args.kuberay:
        if not args.kuberay_crds:
            parser.error("--kuberay needs --kuberay-crds")
        subjects.append(KubeRay(args.kuberay, args.kuberay_crds, args.workers))
    for subject in subjects:
        with tempfile.TemporaryDirectory() as folder:
            started = subprocess.run([CONTROL_PLANE, "start", folder, "--owner", str(os.getpid())], check=False)
            if started.returncode != 0:
                sys.exit(started.returncode)
            try:
                measure(args, subject, folder)
            finally:
                subprocess.run([CONTROL_PLANE, "stop", folder], check=False)


if __name__ == "__main__":
    main()
