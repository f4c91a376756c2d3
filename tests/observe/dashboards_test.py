#!/usr/bin/env python3
"""Every query of every dashboard returns data.

A Prometheus of the distribution scrapes `millrace up` with the tiny model (one group of four ranks, experts that move,
autoscaling) and an operator of its own that finds no API server; requests are sent until each query of the chart's
dashboards, with the variables as Grafana fills them in, returns at least one number. Also: helm ships them as they are.
Exit status 77: skipped, with the reason.
"""
import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from observe_tools import ROOT, UNREACHABLE, free_port, operator_command, skip, tool

MODEL = ROOT / "examples/models/tiny-moe"
LIMIT = 200  # seconds; much more than it takes

MANIFEST = """
apiVersion: millrace.dev/v1alpha1
kind: ModelDeployment
metadata: {name: tiny-moe}
spec:
  replicas: 1
  model: {name: tiny-moe, source: file:///models/tiny-moe}
  parallelism: {tensor: 4, expert: 4}
  devices: {resource: cpu, perPod: 2}
  resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 1Gi}}
  engine: {maxNumSeqs: 16, memory: 128Mi, threads: 1}
  experts: {intervalSeconds: 2, minImprovement: 1}
  autoscaling: {minReplicas: 1, maxReplicas: 1, costPerReplicaHour: 3600}
"""


def fetch(url, body=None, timeout=30):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


def until(holds, what, limit=LIMIT):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    sys.exit(f"{what}: not within {limit} s")


class Program:
    """A program of the build; its output is kept in a file, and it ends with the test."""

    def __init__(self, folder, name, command):
        self.log = folder / f"{name}.log"
        self.process = subprocess.Popen([str(word) for word in command], stdout=self.log.open("w"),
                                        stderr=subprocess.STDOUT)

    def output(self):
        if self.process.poll() is not None:
            sys.exit(f"ended with status {self.process.returncode}: {self.log.read_text()}")
        return self.log.read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


def agents_of(parent):
    """(address, token file, pod index) of each agent that the process runs."""
    found = []
    for task in pathlib.Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text().split():
            words = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            variables = pathlib.Path(f"/proc/{child}/environ").read_bytes().decode().split("\0")
            address = next((item.partition("=")[2] for item in variables if item.startswith("POD_IP=")), None)
            if address:
                found.append((address, *(words[words.index(flag) + 1] for flag in ("--admin-token-file", "--pod-index"))))
    return sorted(found)


def prometheus_config(up_port, operator_port, agents):
    jobs = [{"job_name": "operator", "honor_labels": True,
             "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in (up_port, operator_port)]}]}]
    for address, token, index in agents:
        labels = {"namespace": "default", "deployment": "tiny-moe", "pod": f"tiny-moe-{index}"}
        jobs.append({"job_name": f"agent-{index}", "authorization": {"credentials_file": token},
                     "static_configs": [{"targets": [f"{address}:8001"], "labels": labels}]})
    return json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})


def queries():
    found = {}
    for path in sorted((ROOT / "helm/millrace/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                found[f"{path.stem} / {panel['title']} / {target['legendFormat']}"] = target["expr"]
    return found


def filled_in(expression):
    for name, value in {"$__rate_interval": "20s", "$namespace": ".*", "$deployment": ".*"}.items():
        expression = expression.replace(name, value)
    return expression


def has_data(prometheus, expression):
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": filled_in(expression)})
    result = json.loads(fetch(url))["data"]["result"]
    return any(not math.isnan(float(sample["value"][1])) for sample in result)


def ask(port, stop):
    message = {"role": "user", "content": "7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7"}  # goes to few experts
    while not stop.is_set():
        try:
            fetch(f"http://127.0.0.1:{port}/v1/chat/completions",
                  {"model": "tiny-moe", "messages": [message], "max_tokens": 24, "min_tokens": 24, "temperature": 0})
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)


def check_chart(helm):
    answer = subprocess.run([helm, "template", "release", ROOT / "helm/millrace", "--show-only", "templates/dashboards.yaml",
                             "--set", "dashboards.enabled=true,dashboards.label=found_by"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count('found_by: "1"') == len(list((ROOT / "helm/millrace/dashboards").glob("*.json")))
    for path in (ROOT / "helm/millrace/dashboards").glob("*.json"):
        indented = "".join(f"    {line}\n" for line in path.read_text().splitlines())
        assert indented in answer.stdout, f"{path.name} is not shipped as it is"


def run(arguments, folder, programs):
    def start(name, command):
        programs.append(Program(folder, name, command))
        return programs[-1]

    (folder / "up.yaml").write_text(MANIFEST)
    (folder / "kubeconfig").write_text(UNREACHABLE)
    operator_port, prometheus_port = free_port(), free_port()
    up = start("up", [arguments.millrace, "up", "-f", folder / "up.yaml", "--models-dir", MODEL.parent, "--no-ask", "--port",
                      "0", "--metrics-port", "0"])
    start("operator", operator_command(arguments.operator, folder / "kubeconfig", operator_port))
    until(lambda: "/metrics" in up.output(), "the metrics of millrace up")
    up_port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", up.output())[1])
    # Before the deployment serves: once it does, its operator may have nothing more to reconcile.
    config = folder / "prometheus.yaml"
    config.write_text(prometheus_config(up_port, operator_port, []))
    scraper = start("prometheus", [tool("prometheus-tools.sh", "prometheus"), f"--config.file={config}",
                                   f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{prometheus_port}"])
    prometheus = f"http://127.0.0.1:{prometheus_port}"
    until(lambda: fetch(f"{prometheus}/-/ready"), "Prometheus")
    until(lambda: "serves at http://" in up.output(), "millrace up")
    port = int(re.search(r"serves at http://127\.0\.0\.1:(\d+)", up.output())[1])
    config.write_text(prometheus_config(up_port, operator_port, agents_of(up.process.pid)))
    scraper.process.send_signal(signal.SIGHUP)  # reads its configuration again
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(2) as clients:
        asking = [clients.submit(ask, port, stop) for _ in range(2)]
        try:
            return wait_for_data(prometheus)
        finally:
            stop.set()
            concurrent.futures.wait(asking)


def wait_for_data(prometheus):
    waiting = queries()
    total, deadline = len(waiting), time.monotonic() + LIMIT
    while waiting and time.monotonic() < deadline:
        waiting = {name: expression for name, expression in waiting.items() if not has_data(prometheus, expression)}
        time.sleep(1)
    for name, expression in waiting.items():
        print(f"FAIL  no data: {name}: {filled_in(expression)}")
    print(f"{total} queries, {len(waiting)} without data")
    return 1 if waiting else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--millrace", required=True)
    parser.add_argument("--operator", required=True)
    arguments = parser.parse_args()
    if not (MODEL / "model.safetensors.index.json").exists():
        skip(f"{MODEL} holds no weights")
    check_chart(tool("cluster-tools.sh", "helm"))
    tool("prometheus-tools.sh", "prometheus")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        programs = []
        try:
            status = run(arguments, pathlib.Path(folder), programs)
        finally:
            for program in reversed(programs):
                program.stop()
    print(f"{time.monotonic() - started:.0f} s")
    return status


if __name__ == "__main__":
    os.environ.setdefault("no_proxy", "*")
    sys.exit(main())
