"""Two agents as one group over TCP: a follower is killed in the middle of a stream, the next generation cures the group.

Usage: group_failover_test.py --agent PROGRAM --model FOLDER
Only the standard library is needed. Exits with 77 (skipped) when the folder holds no weights.
"""

import json
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import agent_program

PATIENCE = 120
HOSTS = ["127.0.0.2", "127.0.0.3"]
TOKEN = "secret"


def call(method, url, body=None):
    """Status and text; 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def free_port():
    """A port that is free on all addresses of the group."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind((HOSTS[0], 0))
            port = first.getsockname()[1]
            try:
                second.bind((HOSTS[1], port))
                return port
            except OSError:
                continue


class Pod:
    def __init__(self, program, model, folder, index):
        self.host = HOSTS[index]
        command = [program, "--model", model, "--config", folder / "agent.json", "--admin-token-file", folder / "token"]
        command += ["--pod-index", str(index), "--bind", self.host, "--log-format", "json"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            entry = json.loads(line)
            if entry["msg"] == "agent listens":
                self.port, self.admin_port = entry["port"], entry["admin_port"]
                break
        else:
            raise RuntimeError(f"the agent of pod {index} did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def admin(self, method, path, body=None):
        return call(method, f"http://{self.host}:{self.admin_port}{path}", body)

    def wait_for_readiness(self, status, seconds=PATIENCE):
        """How long it took to answer /readyz with this status."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if self.admin("GET", "/readyz")[0] == status:
                return time.monotonic() - start
        raise AssertionError(f"/readyz did not become {status} in {seconds} s: {self.admin('GET', '/admin/v1/status')}")


class FailoverTest(unittest.TestCase):
    program = model = None

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        config = {"served_model_name": "tiny", "port": 0, "admin_port": 0, "group_port": free_port(), "threads": 1}
        (self.folder / "agent.json").write_text(json.dumps(config))
        (self.folder / "token").write_text(TOKEN + "\n")
        self.pods = [self.start(0), self.start(1)]

    def start(self, index):
        pod = Pod(self.program, self.model, self.folder, index)
        self.addCleanup(pod.process.wait)
        self.addCleanup(pod.process.kill)
        return pod

    def push(self, generation):
        peers = [{"pod_index": index, "host": host} for index, host in enumerate(HOSTS)]
        membership = {"generation": generation, "group": "g", "tensor_parallel": 2, "expert_parallel": 2,
                      "ranks_per_pod": 1, "peers": peers}
        for pod in self.pods:
            self.assertEqual(pod.admin("PUT", "/admin/v1/group", membership)[0], 200)

    def chat(self, **more):
        body = {"messages": [{"role": "user", "content": "What is 12 + 30?"}], "temperature": 0, **more}
        return call("POST", f"http://{self.pods[0].host}:{self.pods[0].port}/v1/chat/completions", body)

    def test_a_dead_follower_fails_the_group_and_the_next_generation_cures_it(self):
        leader, follower = self.pods
        self.push(1)
        leader.wait_for_readiness(200)
        follower.wait_for_readiness(200)
        status, expected = self.chat(max_tokens=8)
        self.assertEqual(status, 200, expected)

        answers = queue.Queue()
        stream = {"stream": True, "ignore_eos": True, "max_tokens": 4000}
        threading.Thread(target=lambda: answers.put(self.chat(**stream)), daemon=True).start()
        while json.loads(leader.admin("GET", "/admin/v1/status")[1])["running"] == 0:
            pass
        follower.process.kill()
        self.assertLess(leader.wait_for_readiness(503), 2.0)
        status, text = answers.get(timeout=PATIENCE)
        self.assertIn("rank 1", text)
        self.assertIn('"error"', text)
        self.assertTrue(status == 503 or text.endswith("data: [DONE]\n\n"), text[-200:])
        status, text = self.chat()
        self.assertEqual(status, 503)
        self.assertEqual(leader.admin("GET", "/livez")[0], 200)

        self.pods[1] = self.start(1)
        self.push(2)
        leader.wait_for_readiness(200)
        status, text = self.chat(max_tokens=8)
        self.assertEqual(status, 200, text)
        self.assertEqual(json.loads(text)["choices"], json.loads(expected)["choices"])

        for pod in self.pods:
            pod.process.terminate()
        self.assertEqual([pod.process.wait(PATIENCE) for pod in self.pods], [0, 0])


def main():
    args = agent_program.arguments()
    FailoverTest.program, FailoverTest.model = args.agent, args.model
    sys.exit(0 if agent_program.passes(FailoverTest) else 1)


if __name__ == "__main__":
    main()
