"""Agents without engines: the admin API of common/agent_api.h on an address of 127.0.0.0/8 each, all served by one
thread. An agent serves as soon as it has its membership."""

import json
import select
import socket
import threading

PORT = 8001
LATENCY_BUCKETS = 71  # common/latency_histogram.h


class Agent:
    def __init__(self, pod_index, on_ready):
        self.leader = pod_index == 0
        self.on_ready = on_ready
        self.status = {
            "phase": "WaitingForGroup", "message": "", "generation": 0, "pod_index": pod_index, "leader": self.leader,
            "load_progress": 0.0, "in_flight": 0, "running": 0, "waiting": 0, "kv_usage": 0.0, "state_usage": 0.0,
            "placement_number": 0}
        if self.leader:
            self.status["load"] = {
                "queue": 0, "running": 0, "kv_usage": 0.0, "state_usage": 0.0, "arrivals": 0,
                "first_token": [0] * LATENCY_BUCKETS, "inter_token": [0] * LATENCY_BUCKETS}
        self.asked = 0
        self.pack()

    def pack(self):
        body = json.dumps(self.status).encode()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            len(body), body)

    def handle(self, method, path, body):
        if method == b"GET":
            self.asked += 1
            return self.answer
        if path == b"/admin/v1/group":
            self.status.update(generation=json.loads(body)["generation"], phase="Serving", load_progress=1.0)
            self.pack()
            self.on_ready()
        elif path == b"/admin/v1/drain":
            self.status["phase"] = "Draining"
            self.pack()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Agents:
    def __init__(self):
        self.by_ip = {}
        self.connections = {}  # file number -> (socket, agent, bytes so far)
        self.accepted = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Every loopback address with one socket, and nothing but loopback.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        self.listener.bind(("0.0.0.0", PORT))
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        threading.Thread(target=self.run, daemon=True).start()

    def start(self, ip, pod_index, on_ready):
        agent = self.by_ip[ip] = Agent(pod_index, on_ready)
        return agent

    def asked(self):
        return sum(agent.asked for agent in list(self.by_ip.values()))

    def run(self):
        while True:
            for number, _ in self.poll.poll():
                if number == self.listener.fileno():
                    self.accept()
                else:
                    self.read(number)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            self.accepted += 1
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[connection.fileno()] = [connection, self.by_ip.get(connection.getsockname()[0]), b""]
            self.poll.register(connection, select.EPOLLIN)

    def close(self, number):
        self.poll.unregister(number)
        self.connections.pop(number)[0].close()

    def read(self, number):
        entry = self.connections[number]
        try:
            data = entry[0].recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or entry[1] is None:
            self.close(number)
            return
        entry[2] += data
        head, found, rest = entry[2].partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        length = 0
        if b"content-length:" in lowered:
            length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(rest) < length:
            return
        entry[2] = rest[length:]
        method, path = head.split(b" ", 2)[:2]
        entry[0].send(entry[1].handle(method, path, rest[:length]))
        if b"connection: close" in lowered:
            self.close(number)
