#!/usr/bin/env python3
"""Sends short requests through a Service at an even pace, each over a connection of its own, whatever became of others.

    requests.py URL RATE LOAD LOG

RATE requests a second as long as the file LOAD exists. LOG gets a line for each: when it began (seconds since the
epoch), how many seconds it took, and its status, or what it did and what was wrong. A request that is not answered
within two seconds has failed.

Each comes from a port of its own, as if from many clients. Left to the kernel, the port of an earlier one comes back
within seconds, and where that one was never answered, the node's connection tracking sends the new one to the same dead
address, for two minutes (docs/zone-failover.md).
"""
import http.client
import os
import sys
import threading
import time
import urllib.parse

PATIENCE = 2  # seconds
PORTS = range(12000, 30000)  # above those of kubelet and kube-proxy, below node ports and those that the kernel gives out


def ask(host, path, port):
    connection = http.client.HTTPConnection(host, timeout=PATIENCE, source_address=("", port))
    did = "connecting"
    try:
        connection.connect()
        did = "waiting for the answer"
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return str(response.status)
    except (OSError, http.client.HTTPException) as error:
        return f"{did} from port {port}: {error!r}"
    finally:
        connection.close()


def main():
    url, rate, load, log = sys.argv[1:]
    parts = urllib.parse.urlsplit(url)
    lock = threading.Lock()
    running = []
    number = int(time.time() * float(rate))  # goes on where one that ran before ended

    with open(log, "w", encoding="utf-8") as out:
        def work(port):
            begin = time.time()
            outcome = ask(parts.netloc, parts.path, port)
            took = time.time() - begin
            with lock:
                print(f"{begin:.2f} {took:.2f} {outcome}", file=out, flush=True)

        due = time.monotonic()
        while os.path.exists(load):
            running = [worker for worker in running if worker.is_alive()]
            running.append(threading.Thread(target=work, args=[PORTS[number % len(PORTS)]]))
            running[-1].start()
            number += 1
            due += 1 / float(rate)
            time.sleep(max(0, due - time.monotonic()))
        for worker in running:
            worker.join()


if __name__ == "__main__":
    main()
