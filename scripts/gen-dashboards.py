#!/usr/bin/env python3
"""Writes helm/millrace/dashboards/*.json, Grafana's dashboards; with --check only says whether they are up to date.

A dashboard is a list of rows of panels; a panel is a title, a unit of Grafana and its queries with their legends. Series of
agents carry the labels namespace, deployment and pod, as docs/metrics.md has them scraped; those of the operator are taken
as the max over operators, for the moment when the leader changes (docs/operator-metrics.md).
"""
import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "helm/millrace/dashboards"
WIDTH = 24
HEIGHT = 8

# What a panel shows of one deployment: series of the operator, and of its agents.
OURS = 'namespace=~"$namespace",deployment=~"$deployment"'
RANGE = "[$__rate_interval]"


def told(name, labels=""):
    """A value that the operator tells of each deployment."""
    by = "namespace, deployment" + "".join(f", {label}" for label in labels.split())
    return f"max by ({by}) (millrace_{name}{{{OURS}}})"


def condition(kind):
    return f'max by (namespace, deployment) (millrace_deployment_condition{{{OURS},type="{kind}"}})'


def rate(name, by="namespace, deployment", labels=""):
    return f"sum by ({by}) (rate({name}{{{OURS}{labels}}}{RANGE}))"


def quantile(q, name):
    return f"histogram_quantile({q}, sum by (le) (rate({name}_bucket{{{OURS}}}{RANGE})))"


def quantiles(name):
    return [(quantile(q, name), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]


DEPLOYMENT = "{{namespace}}/{{deployment}}"
POD = "{{pod}}"
# The names of controllers' metrics are everybody's: only instances that have a worker for ModelDeployments are ours.
OPERATOR = 'and on (job, instance) controller_runtime_max_concurrent_reconciles{controller="modeldeployment"}'

TOKENS = ("Tokens per second", "none", [(rate("vllm:generation_tokens_total"), "generated, " + DEPLOYMENT),
                                        (rate("vllm:prompt_tokens_total"), "prompts, " + DEPLOYMENT)])
BETWEEN_TOKENS = ("Time between tokens", "s", quantiles("vllm:inter_token_latency_seconds"))
STEP = ("Time of a step", "s", [
    (rate("millrace_engine_step_seconds_total", "pod") +
     f" / (sum by (pod) (rate(millrace_engine_steps_total{{{OURS}}}{RANGE})) > 0)", POD)])

FLEET = [
    [("Deployments", "none", [
        ("count(max by (namespace, deployment) (millrace_deployment_replicas_desired))", "all"),
        ('sum(max by (namespace, deployment) (millrace_deployment_condition{type="Ready"}) == bool 1)', "ready"),
        ('sum(max by (namespace, deployment) (millrace_deployment_condition{type="Available"}) == bool 0)', "not available"),
        ('sum(max by (namespace, deployment) (millrace_deployment_condition{type="Stalled"}) == bool 1)', "stalled")]),
     ("Groups", "none", [
         ("sum(max by (namespace, deployment) (millrace_deployment_replicas_desired))", "wanted"),
         ("sum(max by (namespace, deployment) (millrace_deployment_replicas))", "exist"),
         ("sum(max by (namespace, deployment) (millrace_deployment_replicas_routable))", "take traffic")]),
     ("Silence of watches", "s", [("max by (kind) (millrace_watch_silence_seconds)", "{{kind}}")])],
    [("Reconciles per second", "none", [
        (f'sum by (result) (rate(controller_runtime_reconcile_total{{controller="modeldeployment"}}{RANGE}))', "{{result}}")]),
     ("Time of a reconcile", "s", [
         (f'histogram_quantile({q}, sum by (le) (rate(controller_runtime_reconcile_time_seconds_bucket'
          f'{{controller="modeldeployment"}}{RANGE})))', f"p{int(q * 100)}") for q in (0.5, 0.99)]),
     ("Versions of operators", "none", [("count by (version) (millrace_operator_build_info)", "{{version}}")])],
    [("Tokens per second", "none", [
        (f"sum by (model_name) (rate(vllm:generation_tokens_total{RANGE}))", "{{model_name}} generated"),
        (f"sum by (model_name) (rate(vllm:prompt_tokens_total{RANGE}))", "{{model_name}} prompts")]),
     ("Sequences", "none", [("sum by (model_name) (vllm:num_requests_running)", "{{model_name}} running"),
                            ("sum by (model_name) (vllm:num_requests_waiting)", "{{model_name}} waiting")]),
     ("Agents by phase", "none", [("sum by (phase) (millrace_agent_phase)", "{{phase}}")])],
    [("Reconciles that failed per second", "none", [
        (f'sum by (instance) (rate(controller_runtime_reconcile_errors_total{{controller="modeldeployment"}}{RANGE}))',
         "{{instance}}")]),
     ("Queue", "none", [('workqueue_depth{name="modeldeployment"}', "waiting, {{instance}}"),
                        ('workqueue_longest_running_processor_seconds{name="modeldeployment"}', "longest, s, {{instance}}")]),
     ("Workers", "none", [('controller_runtime_active_workers{controller="modeldeployment"}', "busy, {{instance}}"),
                          ('controller_runtime_max_concurrent_reconciles{controller="modeldeployment"}', "all, {{instance}}")])],
    [("Requests to the API server per second", "none", [
        (f"sum by (code) (rate(rest_client_requests_total{RANGE}) {OPERATOR})", "{{code}}")]),
     ("Time of a request to the API server", "s", [
         (f"histogram_quantile(0.99, sum by (le, verb) (rate(rest_client_request_duration_seconds_bucket{RANGE}) {OPERATOR}))",
          "p99 {{verb}}")]),
     ("Leader", "none", [(f"leader_election_master_status {OPERATOR}", "{{instance}}")])],
    [("Versions of agents", "none", [("count by (version) (millrace_build_info)", "{{version}}")]),
     ("Weights", "bytes", [("sum by (model_name) (millrace_weight_bytes)", "{{model_name}}, rank 0 of each group")])],
]

SERVING = [
    [("Groups", "none", [(told("deployment_replicas_desired"), "wanted"), (told("deployment_replicas_ready"), "ready"),
                         (told("deployment_replicas_routable"), "take traffic")]),
     ("Groups by state", "none", [
         (f"sum by (state) (max by (namespace, deployment, state, zone) (millrace_deployment_groups{{{OURS}}}))", "{{state}}")]),
     ("Autoscaler", "none", [(told("deployment_autoscale_replicas_desired"), "decided"),
                             (told("deployment_autoscale_replicas_candidate"), "asked for by the load"),
                             (told("deployment_autoscale_replicas_minimum"), "minimum"),
                             (told("deployment_autoscale_replicas_maximum"), "maximum")])],
    [("Time to first token", "s", quantiles("vllm:time_to_first_token_seconds")), BETWEEN_TOKENS,
     ("Time of a request", "s", quantiles("vllm:e2e_request_latency_seconds"))],
    [("Where the time goes", "s", [
        (quantile(0.95, "vllm:request_queue_time_seconds"), "queue, p95"),
        (quantile(0.95, "vllm:request_prefill_time_seconds"), "prefill, p95"),
        (quantile(0.95, "vllm:request_decode_time_seconds"), "decode, p95")]),
     ("Sequences", "none", [(f"sum(vllm:num_requests_running{{{OURS}}})", "running"),
                            (f"sum(vllm:num_requests_waiting{{{OURS}}})", "waiting"),
                            (f"sum(millrace_requests_in_flight{{{OURS}}})", "requests in flight")]),
     TOKENS],
    [("Finished per second", "none", [(rate("vllm:request_success_total", "finished_reason"), "{{finished_reason}}")]),
     ("Answers per second", "none", [(rate("millrace_http_requests_total", "route, code"), "{{route}} {{code}}")]),
     ("Preempted per second", "none", [(rate("vllm:num_preemptions_total", "pod"), POD)])],
    [("KV cache in use", "percentunit", [(f"vllm:kv_cache_usage_perc{{{OURS}}}", POD)]),
     ("State slots", "none", [(f"millrace_state_slots_used{{{OURS}}}", "used, " + POD),
                              (f"millrace_state_slots{{{OURS}}}", "all, " + POD)]),
     STEP],
]

EXPERTS = [
    [("Busiest rank over mean rank, last move", "none", [
         (told("deployment_expert_imbalance_before"), "without the move"),
         (told("deployment_expert_imbalance_after"), "with the move")]),
     ("Balanced (1), not (0), not known (-1)", "none", [(condition("ExpertsBalanced"), DEPLOYMENT)])],
    [("Bytes of experts moved per second", "Bps", [(rate("millrace_deployment_expert_bytes_moved_total"), DEPLOYMENT)]),
     ("Moves taken back", "none", [(told("deployment_expert_placements_reverted_total"), DEPLOYMENT)])],
    [("Since the last move", "s", [
        ("time() - " + told("deployment_expert_last_move_timestamp_seconds"), DEPLOYMENT)])],
    [("Busiest expert over mean expert", "none", [(f"millrace_expert_load_imbalance{{{OURS}}}", POD)]),
     ("Placement in force", "none", [(f"millrace_expert_placement_number{{{OURS}}}", POD)])],
    [BETWEEN_TOKENS, STEP, TOKENS],
]

FAILOVER = [
    [("State of zones", "none", [("max by (zone, state) (millrace_zone_state) == 1", "{{zone}} {{state}}")]),
     ("Groups that take traffic, by zone", "none", [
         (f'sum by (zone) (max by (namespace, deployment, state, zone) (millrace_deployment_groups{{{OURS},state="Routable"}}))',
          "{{zone}}")]),
     ("Groups missing", "none", [
         (told("deployment_replicas_desired") + " - " + told("deployment_replicas_routable"), DEPLOYMENT)])],
    [("Available", "none", [(condition("Available"), DEPLOYMENT)]),
     ("Changes of zones in an hour", "none", [
         ('sum by (zone) (changes(millrace_zone_state{state="Healthy"}[1h]))', "{{zone}}")])],
    [("Agents by phase", "none", [(f"sum by (phase) (millrace_agent_phase{{{OURS}}})", "{{phase}}")]),
     ("Generation of groups", "none", [(f"millrace_group_generation{{{OURS}}}", POD)]),
     ("Weights loaded", "percentunit", [(f"millrace_load_progress{{{OURS}}}", POD)])],
    [("Answers per second", "none", [(rate("millrace_http_requests_total", "code"), "{{code}}")]),
     ("Sequences that end with an error per second", "none", [
         (rate("vllm:request_success_total", labels=',finished_reason="error"'), DEPLOYMENT)]),
     TOKENS],
]

ROLLOUT = [
    [("In progress", "none", [(condition("Progressing"), DEPLOYMENT)]),
     ("Groups of the new revision", "none", [(told("deployment_replicas_updated"), "new, " + DEPLOYMENT),
                                             (told("deployment_replicas"), "all, " + DEPLOYMENT)]),
     ("Groups that take traffic", "none", [(told("deployment_replicas_routable"), DEPLOYMENT),
                                           (told("deployment_replicas_desired"), "wanted, " + DEPLOYMENT)])],
    [("Revision", "none", [(told("deployment_rollout_revision"), DEPLOYMENT)]),
     ("Canary groups", "none", [(told("deployment_canary_groups"), DEPLOYMENT)]),
     ("Paused, rolled back", "none", [(told("deployment_rollout_paused"), "paused, " + DEPLOYMENT),
                                      (condition("RollbackActive"), "rolled back, " + DEPLOYMENT)])],
    [("Groups by state", "none", [
        (f"sum by (state) (max by (namespace, deployment, state, zone) (millrace_deployment_groups{{{OURS}}}))", "{{state}}")]),
     ("Changes not taken up yet", "none", [(told("deployment_generation_lag"), DEPLOYMENT)]),
     ("Sequences that end with an error per second", "none", [
         (rate("vllm:request_success_total", labels=',finished_reason="error"'), DEPLOYMENT)])],
]

COST = [
    [("Cost per hour", "none", [(told("deployment_cost_per_hour"), DEPLOYMENT)]),
     ("Cost of a million tokens", "none", [
         ("1e6 * " + rate("millrace_deployment_cost_total") + " / (" + rate("millrace_deployment_generated_tokens_total") +
          " > 0)", "now, " + DEPLOYMENT),
         (told("deployment_cost_per_million_tokens"), "since the operator leads, " + DEPLOYMENT)]),
     ("Cost so far", "none", [(told("deployment_cost_total"), DEPLOYMENT)])],
    [("Replica-hours so far", "none", [(told("deployment_replica_hours_total"), DEPLOYMENT)]),
     ("Tokens per second", "none", [(rate("millrace_deployment_generated_tokens_total"), DEPLOYMENT)]),
     ("Price of a group for an hour", "none", [(told("deployment_price_per_replica_hour"), DEPLOYMENT)])],
]

DASHBOARDS = {
    "fleet": ("Millrace / Fleet", FLEET),
    "deployment": ("Millrace / Deployment", SERVING),
    "experts": ("Millrace / Experts", EXPERTS),
    "failover": ("Millrace / Failover", FAILOVER),
    "rollout": ("Millrace / Rollouts", ROLLOUT),
    "cost": ("Millrace / Cost", COST),
}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def variable(name, query):
    return {"name": name, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name}, "refresh": 2,
            "includeAll": True, "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "sort": 1}


def panel(number, position, title, unit, queries):
    targets = [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
               for i, (expr, legend) in enumerate(queries)]
    return {"id": number, "type": "timeseries", "title": title, "datasource": SOURCE, "gridPos": position,
            "fieldConfig": {"defaults": {"unit": unit, **({} if "-1" in title else {"min": 0})}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": targets}


def dashboard(name, title, rows):
    panels = []
    for y, row in enumerate(rows):
        width = WIDTH // len(row)
        for x, (heading, unit, queries) in enumerate(row):
            position = {"x": x * width, "y": y * HEIGHT, "w": width, "h": HEIGHT}
            panels.append(panel(len(panels) + 1, position, heading, unit, queries))
    variables = [{"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}]
    if "$namespace" in json.dumps(panels):
        variables.append(variable("namespace", "label_values(millrace_build_info, namespace)"))
        variables.append(variable("deployment", 'label_values(millrace_build_info{namespace=~"$namespace"}, '
                                                "deployment)"))
    return {"uid": f"millrace-{name}", "title": title, "tags": ["millrace"], "schemaVersion": 38, "version": 1,
            "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "templating": {"list": variables}, "panels": panels}


def main():
    files = {FOLDER / f"{name}.json": json.dumps(dashboard(name, title, rows), indent=1) + "\n"
             for name, (title, rows) in DASHBOARDS.items()}
    if sys.argv[1:] == ["--check"]:
        stale = [path.name for path, text in files.items() if not path.exists() or path.read_text() != text]
        stale += [path.name for path in FOLDER.glob("*.json") if path not in files]
        if stale:
            sys.exit(f"{', '.join(stale)} out of date: run scripts/gen-dashboards.py")
    elif not sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for path, text in files.items():
            path.write_text(text)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
