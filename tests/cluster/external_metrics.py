#!/usr/bin/env python3
"""The external metrics API of Kubernetes with one metric: its value is what a file says.

    external_metrics.py PORT CERTIFICATE KEY FILE

Listens on 127.0.0.1 with TLS; whoever asks is answered.
"""
import http.server
import json
import pathlib
import ssl
import sys
import time

GROUP_VERSION = "external.metrics.k8s.io/v1beta1"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    file = None

    def do_GET(self):
        path = self.path.partition("?")[0].rstrip("/").removeprefix(f"/apis/{GROUP_VERSION}")
        if path == "":
            self.reply(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION,
                             "resources": [{"name": "*", "singularName": "", "namespaced": True,
                                            "kind": "ExternalMetricValueList", "verbs": ["get"]}]})
        elif path.startswith("/namespaces/"):
            self.reply(200, {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {},
                             "items": [{"metricName": path.rpartition("/")[2], "metricLabels": {},
                                        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                                        "value": self.file.read_text().strip()}]})
        else:
            self.reply(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main():
    port, certificate, key, file = sys.argv[1:]
    Handler.file = pathlib.Path(file)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
