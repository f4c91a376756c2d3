#!/usr/bin/env python3
"""Sends short requests through a Service at an even pace, each over a connection of its own, whatever became of others.

    requests.py URL RATE LOAD LOG

RATE requests a second as long as the file LOAD exists. LOG gets a line for each: when it began (seconds since the epoch)
and its status, or what it did and what was wrong. A request that is not answered within two seconds has failed.
"""
import http.client
import os
import sys
import threading
import time
import urllib.parse

PATIENCE = 2  # seconds


def ask(host, path):
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    did = "connecting"
    try:
        connection.connect()
        did = f"waiting for the answer on port {connection.sock.getsockname()[1]}"
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return str(response.status)
    except (OSError, http.client.HTTPException) as error:
        return f"{did}: {error!r}"
    finally:
        connection.close()


def main():
    url, rate, load, log = sys.argv[1:]
    parts = urllib.parse.urlsplit(url)
    lock = threading.Lock()
    running = []

    with open(log, "w", encoding="utf-8") as out:
        def work():
            begin = time.time()
            outcome = ask(parts.netloc, parts.path)
            with lock:
                print(f"{begin:.2f} {outcome}", file=out, flush=True)

        due = time.monotonic()
        while os.path.exists(load):
            running = [worker for worker in running if worker.is_alive()]
            running.append(threading.Thread(target=work))
            running[-1].start()
            due += 1 / float(rate)
            time.sleep(max(0, due - time.monotonic()))
        for worker in running:
            worker.join()


if __name__ == "__main__":
    main()
