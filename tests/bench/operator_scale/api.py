"""A small client of the API server for the played part of the cluster: JSON over one kept connection per thread."""

import http.client
import json
import pathlib
import ssl
import threading
import time


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:300]}")
        self.status = status


class Api:
    """The administrator of the control plane in `folder` (tests/cluster/control_plane.sh)."""

    def __init__(self, folder):
        pki = pathlib.Path(folder) / "pki"
        settings = (pathlib.Path(folder) / "settings").read_text()
        self.port = int(settings.split('api_port="')[1].split('"')[0])
        self.context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.context.load_cert_chain(str(pki / "user-admin.crt"), str(pki / "user-admin.key"))
        self.local = threading.local()
        self.closed = False  # the server is about to be stopped

    def connect(self, timeout=60):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)

    def call(self, method, path, body=None, content_type="application/json"):
        while True:
            status, text = self.exchange(method, path, body, content_type)
            if status != 429:
                break
            time.sleep(1)  # it is busy, or still reads a new kind
        if status >= 300:
            raise ApiError(status, text.decode(errors="replace"))
        return json.loads(text)

    def exchange(self, method, path, body, content_type):
        for attempt in (1, 2):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = self.connect()
            try:
                data = None if body is None else json.dumps(body)
                connection.request(method, path, data, {"Content-Type": content_type})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                self.local.connection = None
                if attempt == 2:
                    raise

    def merge(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def strategic(self, path, body):
        return self.call("PATCH", path, body, "application/strategic-merge-patch+json")

    def watch(self, path):
        """Every object of a collection, then every change of one: (type, object) until the server is stopped."""
        while not self.closed:
            try:
                yield from self.watch_once(path)
            except (http.client.HTTPException, OSError):
                time.sleep(0.5)

    def watch_once(self, path):
        listed = self.call("GET", path)
        for item in listed["items"]:
            yield "ADDED", item
        version = listed["metadata"]["resourceVersion"]
        connection = self.connect(timeout=None)
        connection.request("GET", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=3600")
        for line in connection.getresponse():
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            yield event["type"], event["object"]
