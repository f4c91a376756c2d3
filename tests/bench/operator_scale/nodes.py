"""The scheduler and the kubelets of many nodes, played over the API server with the writes that real ones make: the
binding, the address, ready containers, and Ready when the gate is open."""

import concurrent.futures
import threading
import time

from agents import Agents
from api import ApiError

ZONES = ("a", "b", "c")
GATE = "millrace.dev/routable"


def condition(pod, kind):
    for item in pod.get("status", {}).get("conditions", []):
        if item["type"] == kind:
            return item["status"] == "True"
    return False


def verdict(kind, status):
    return {"type": kind, "status": "True" if status else "False"}


class Nodes:
    def __init__(self, api, subject, count, threads):
        self.api = api
        self.subject = subject
        self.agents = Agents() if subject.has_agents else None
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.lock = threading.Lock()
        self.pods = {}  # uid -> what the kubelet knows
        self.created = {}  # (namespace, owner) -> times at which its pods appeared
        self.by_zone = {zone: [] for zone in ZONES}
        self.turn = 0
        self.addresses = 0
        self.failures = 0
        list(self.pool.map(self.make_node, range(count)))
        threading.Thread(target=self.run, daemon=True).start()

    def make_node(self, number):
        zone = ZONES[number % len(ZONES)]
        name = f"node-{number}"
        labels = {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name}
        self.api.call("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        room = {"cpu": "64", "memory": "256Gi", "pods": "110"}
        self.api.strategic(f"/api/v1/nodes/{name}/status", {
            "status": {"allocatable": room, "capacity": room, "conditions": [verdict("Ready", True)]}})
        self.api.merge(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})
        self.by_zone[zone].append(name)

    def run(self):
        for kind, pod in self.api.watch("/api/v1/pods"):
            self.see(kind, pod)

    def see(self, kind, pod):
        metadata = pod["metadata"]
        uid = metadata["uid"]
        if kind == "DELETED":
            with self.lock:
                self.pods.pop(uid, None)
            return
        with self.lock:
            known = self.pods.get(uid)
            if known is None:
                known = self.pods[uid] = {"pod": pod, "busy": False, "ip": None, "written": None}
                key = (metadata["namespace"], metadata["labels"].get(self.subject.owner_label))
                self.created.setdefault(key, []).append(time.monotonic())
            known["pod"] = pod
        self.wake(uid)

    # One task at a time for a pod; whatever happens meanwhile leads to another.
    def wake(self, uid):
        with self.lock:
            known = self.pods.get(uid)
            if known is None:
                return
            known["again"] = True
            if known["busy"]:
                return
            known["busy"] = True
        self.pool.submit(self.work, uid)

    def work(self, uid):
        while True:
            with self.lock:
                known = self.pods.get(uid)
                if known is None or not known["again"]:
                    if known is not None:
                        known["busy"] = False
                    return
                known["again"] = False
            try:
                self.look(uid, known)
            except ApiError as error:
                if error.status not in (404, 409):
                    self.failures += 1

    def look(self, uid, known):
        pod = known["pod"]
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            self.api.call("DELETE", path, {"gracePeriodSeconds": 0})
        elif not pod["spec"].get("nodeName"):
            self.bind(pod, path)
        else:
            self.report(uid, known, pod, path)

    def bind(self, pod, path):
        zone = pod["spec"].get("nodeSelector", {}).get("topology.kubernetes.io/zone", ZONES[0])
        with self.lock:
            self.turn += 1
            node = self.by_zone[zone][self.turn % len(self.by_zone[zone])]
        self.api.call("POST", path + "/binding", {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node}})

    def report(self, uid, known, pod, path):
        if known["ip"] is None:
            with self.lock:
                self.addresses += 1
                known["ip"] = f"127.77.{self.addresses // 250}.{1 + self.addresses % 250}"
            if self.agents:
                index = int(pod["metadata"]["labels"].get("millrace.dev/pod-index", "0"))
                known["agent"] = self.agents.start(known["ip"], index, lambda: self.wake(uid))
        serving = not self.agents or known["agent"].status["phase"] in ("Serving", "Draining")
        ready = serving and (not pod["spec"].get("readinessGates") or condition(pod, GATE))
        status = {"phase": "Running", "podIP": known["ip"], "podIPs": [{"ip": known["ip"]}], "conditions": [
            verdict("Initialized", True), verdict("ContainersReady", serving), verdict("Ready", ready)]}
        if known["written"] != status:
            self.api.strategic(path + "/status", {"status": status})
            known["written"] = status
