#!/usr/bin/env python3
"""The cluster's DNS, as small as it can be: names of Services, looked up in the cluster when they are asked for.

    dns.py ADDRESS KUBECTL KUBECONFIG

Answers A questions for <service>.<namespace>.svc[.cluster.local] over UDP, port 53; everything else does not exist.
"""
import json
import socket
import struct
import subprocess
import sys
import time

KEEP_SECONDS = 1.0


class Services:
    def __init__(self, kubectl, kubeconfig):
        self.command = [kubectl, "--kubeconfig", kubeconfig, "get", "services", "-A", "-o", "json"]
        self.read_at = 0.0
        self.addresses = {}

    def address(self, name):
        """None when there is no such Service."""
        labels = name.lower().rstrip(".").removesuffix(".cluster.local").split(".")
        if len(labels) != 3 or labels[2] != "svc":
            return None
        if time.monotonic() - self.read_at > KEEP_SECONDS:
            self._read()
        return self.addresses.get((labels[1], labels[0]))

    def _read(self):
        answer = subprocess.run(self.command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            return
        self.addresses = {(item["metadata"]["namespace"], item["metadata"]["name"]): item["spec"].get("clusterIP")
                          for item in json.loads(answer.stdout)["items"]}
        self.read_at = time.monotonic()


def question_of(packet):
    """Name, type, and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack("!H", packet[at + 1:at + 3])[0], at + 5


def answer(packet, services):
    name, kind, end = question_of(packet)
    address = services.address(name)
    found = address not in (None, "", "None")
    answers = b""
    if found and kind == 1:
        answers = struct.pack("!HHHIH", 0xC00C, 1, 1, 5, 4) + socket.inet_aton(address)
    flags = 0x8580 if found else 0x8583
    return packet[:2] + struct.pack("!HHHHH", flags, 1, 1 if answers else 0, 0, 0) + packet[12:end] + answers


def main():
    services = Services(sys.argv[2], sys.argv[3])
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], 53))
    while True:
        packet, client = server.recvfrom(4096)
        try:
            server.sendto(answer(packet, services), client)
        except (IndexError, struct.error):
            continue  # not a question


if __name__ == "__main__":
    main()
