"""What the tests of alerts and dashboards share: programs that may be absent, and an operator that finds no API server."""
import pathlib
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SKIPPED = 77  # exit status

UNREACHABLE = """
apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: none, user: {}}]
"""


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def tool(script, name):
    """The path of a program that the script gets."""
    found = subprocess.run([ROOT / "scripts" / script, "--find", name], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else skip(f"{name} is absent: run scripts/{script}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def operator_command(operator, kubeconfig, metrics_port):
    return [operator, "--kubeconfig", kubeconfig, "--leader-election-namespace", "default",
            "--metrics-address", f"127.0.0.1:{metrics_port}", "--health-address", f"127.0.0.1:{free_port()}"]
