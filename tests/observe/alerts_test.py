#!/usr/bin/env python3
"""The alerts of the chart, as helm renders them and promtool judges them.

Each has a runbook page, a case in alert_cases.yaml in which it is not there yet, fires and clears, and speaks only of
metrics that docs/metrics.md and docs/operator-metrics.md list. The former is held to what an agent serves by
tests/agent/metrics_test.cpp, the latter here, to what the operator serves that this test starts.
Exit status 77: skipped, with the reason.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from observe_tools import HERE, ROOT, UNREACHABLE, free_port, operator_command, skip, tool

RUNBOOKS = ROOT / "docs/runbooks"
SECTIONS = ["Meaning", "Look", "Act", "Silence"]
SUFFIXES = ("_bucket", "_sum", "_count")

try:
    import yaml
except ImportError:
    skip("python3-yaml is absent: run scripts/packages.sh test")

failures = []


def check(holds, message):
    if not holds:
        failures.append(message)


def rendered_rules(helm, *values):
    command = [helm, "template", "release", ROOT / "helm/millrace", "--show-only", "templates/prometheusrule.yaml",
               "--set", "prometheusRule.enabled=true", *values]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        sys.exit(f"helm template failed: {answer.stderr}")
    return yaml.safe_load(answer.stdout)["spec"]


def listed_in(page):
    return set(re.findall(r"^\| `([a-z_:]+)` \|", (ROOT / "docs" / page).read_text(), re.MULTILINE))


def scrape_until(port, process, wanted, limit=60):
    """What an operator serves, once it serves `wanted`."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
            if wanted in text:
                return text
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    sys.exit(f"the operator did not serve {wanted} within {limit} s")


def served_by_operator(operator):
    """Names and types of what the program serves. It finds no API server, so it has requests that failed."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = pathlib.Path(folder) / "kubeconfig"
        kubeconfig.write_text(UNREACHABLE)
        port = free_port()
        with subprocess.Popen(operator_command(operator, kubeconfig, port),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                text = scrape_until(port, process, "# TYPE rest_client_requests_total ")
            finally:
                process.terminate()
    return set(re.findall(r"^# TYPE ([a-z_:]+) ", text, re.MULTILINE))


def check_operator_page(operator):
    # A family appears with its first series, and nothing is led or reconciled here; operator_metrics_test.cpp sees those.
    served = served_by_operator(operator) | {"controller_runtime_reconcile_total"}
    listed = {name for name in listed_in("operator-metrics.md") if not name.startswith(("millrace_deployment_", "millrace_zone_"))}
    check(served == listed, f"docs/operator-metrics.md and the operator differ: {served ^ listed}")


def metrics_of(expression):
    bare = re.sub(r"\{[^}]*\}", "{}", expression)  # no label values
    bare = re.sub(r"\b(by|on|unless on|without|ignoring)\s*\([^)]*\)", "", bare)
    words = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()(?=[^a-zA-Z0-9_:(]|$)", bare)
    return {word for word in words if "_" in word and not word.startswith(("histogram_quantile", "label_"))}


def check_rules(rules, metrics):
    for rule in rules:
        name = rule["alert"]
        check(rule["labels"].get("severity") in ("critical", "warning", "info"), f"{name} has no severity")
        for key in ("summary", "description", "runbook_url"):
            check(rule["annotations"].get(key), f"{name} has no {key}")
        check(rule["annotations"]["runbook_url"].endswith(f"/{name}.md"), f"{name}: runbook_url names another page")
        used = metrics_of(rule["expr"])
        check(used, f"{name} uses no metric")
        for metric in used:
            base = re.sub("(" + "|".join(SUFFIXES) + ")$", "", metric)
            check(metric in metrics or base in metrics, f"{name} uses {metric}, which no page of docs lists")


def check_runbooks(rules):
    names = {rule["alert"] for rule in rules}
    pages = {page.stem for page in RUNBOOKS.glob("Millrace*.md")}
    check(names == pages, f"alerts without a page: {names - pages}; pages without an alert: {pages - names}")
    index = (RUNBOOKS / "README.md").read_text()
    for name in pages & names:
        text = (RUNBOOKS / f"{name}.md").read_text()
        check(text.startswith(f"# {name}\n"), f"{name}.md has another title")
        found = re.findall(r"^## (.*)$", text, re.MULTILINE)
        check(found == SECTIONS, f"{name}.md has the sections {found}, not {SECTIONS}")
        check(f"alertname={name}" in text, f"{name}.md does not say how to silence it")
        check(f"]({name}.md)" in index, f"README.md of the runbooks does not list {name}")


def promtool_test(name, case, rule):
    alert = {"exp_labels": {**rule["labels"], **case["labels"]},
             "exp_annotations": {**rule["annotations"], "description": case["says"]}}
    times = [(case["not_yet"], []), (case["fires"], [alert]), (case["clears"], [])]
    return {"name": name, "interval": "1m",
            "input_series": [{"series": series, "values": str(values)} for series, values in case["series"].items()],
            "alert_rule_test": [{"eval_time": time, "alertname": name, "exp_alerts": alerts} for time, alerts in times]}


def run_cases(promtool, spec, rules):
    cases = yaml.safe_load((HERE / "alert_cases.yaml").read_text())
    by_name = {rule["alert"]: rule for rule in rules}
    check(set(cases) == set(by_name), f"alerts without a case: {set(by_name) - set(cases)}; "
                                      f"cases without an alert: {set(cases) - set(by_name)}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.yaml").write_text(yaml.safe_dump(spec))
        tests = [promtool_test(name, case, by_name[name]) for name, case in cases.items() if name in by_name]
        document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
        (folder / "tests.yaml").write_text(yaml.safe_dump(document))
        for arguments in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
            answer = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True)
            print(answer.stdout)
            check(answer.returncode == 0, f"promtool {' '.join(arguments)}: {answer.stderr}{answer.stdout}")
    return len(cases)


def check_values(helm):
    """Values reach the rules."""
    spec = rendered_rules(helm, "--set", "prometheusRule.thresholds.queueDepth=7,prometheusRule.ruleLabels.team=sre,"
                                         "prometheusRule.runbookBaseUrl=https://x.test/r/,"
                                         "prometheusRule.disabled={MillraceGroupRestarts}")
    rules = {rule["alert"]: rule for group in spec["groups"] for rule in group["rules"]}
    backlog = rules["MillraceQueueBacklog"]
    check(backlog["expr"].rstrip().endswith("> 7"), "a threshold is not used")
    check(backlog["labels"] == {"severity": "warning", "team": "sre"}, "ruleLabels are not added")
    check(backlog["annotations"]["runbook_url"] == "https://x.test/r/MillraceQueueBacklog.md", "runbookBaseUrl is not used")
    check("MillraceGroupRestarts" not in rules, "a disabled alert is there")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--operator", required=True)
    arguments = parser.parse_args()
    helm = tool("cluster-tools.sh", "helm")
    promtool = tool("prometheus-tools.sh", "promtool")
    spec = rendered_rules(helm, "--set", ",".join(
        f"prometheusRule.thresholds.{name}={value}"  # a day takes long to play
        for name, value in {"versionsFor": "1h", "pausedFor": "1h", "costPerHour": 50, "costPerMillionTokens": 10}.items()))
    rules = [rule for group in spec["groups"] for rule in group["rules"]]
    check(len(rules) >= 20, f"only {len(rules)} alerts")
    check_operator_page(arguments.operator)
    check_rules(rules, listed_in("metrics.md") | listed_in("operator-metrics.md"))
    check_runbooks(rules)
    check_values(helm)
    count = run_cases(promtool, spec, rules)
    for failure in failures:
        print(f"FAIL  {failure}")
    print(f"{len(rules)} alerts, {count} cases, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
