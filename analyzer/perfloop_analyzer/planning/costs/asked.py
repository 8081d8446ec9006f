"""What is asked for costs: what machines have, what services use or have reserved, and what they do with it."""

from __future__ import annotations

from perfloop_analyzer.planning.asks import OFTEN_SECONDS, Ask

# Long enough that a garbage collection or a cron job is no price, short enough that a new replica shows.
WINDOW_SECONDS = 300.0
OVER = "[5m]"
# Bridges and virtual devices carry again what a real one carries.
REAL_DEVICES = 'device!~"lo|veth.*|docker.*|br-.*|cni.*|flannel.*|cali.*|tun.*|tap.*"'
REAL_FILES = 'fstype!~"tmpfs|overlay|squashfs|ramfs|devtmpfs|iso9660|nfs.*|cifs|fuse.*"'
GIB = 2**30


def _of_containers(metric: str) -> str:
    """Return the series of a service's own containers: not of the machine's exporter, nor of a pod as a whole."""
    return f'({metric}{{job!="node",pod=""}} or {metric}{{job!="node",image!=""}})'


COSTS = Ask(
    name="costs",
    queries={
        # What is paid for, by machine.
        "cost_machine_cores": 'max by (host) (count by (host, instance) (node_cpu_seconds_total{mode="idle"}))',
        "cost_machine_memory": f"max by (host) (node_memory_MemTotal_bytes) / {GIB}",
        "cost_machine_disk": (
            f"sum by (host) (max by (host, device) (node_filesystem_size_bytes{{{REAL_FILES}}})) / {GIB}"
        ),
        "cost_machine_sent": (
            "sum by (host) (max by (host, device) "
            f"(rate(node_network_transmit_bytes_total{{{REAL_DEVICES}}}{OVER}))) * 3600 / 1e9"
        ),
        "cost_machine_gpus": (
            "count by (host, name) (max by (host, gpu, name) (perfloop_gpu_info) or max by (host, gpu, name) "
            '(label_replace(DCGM_FI_DEV_GPU_UTIL, "name", "$1", "modelName", "(.*)")))'
        ),
        # What services take of it.
        "cost_cores_used": f"sum by (service, host) (rate(process_cpu_seconds_total{OVER}))",
        "cost_cores_reserved": (
            f"sum by (service, host) ({_of_containers('container_spec_cpu_quota')} / on (instance, id) group_left () "
            f"max by (instance, id) ({_of_containers('container_spec_cpu_period')}))"
        ),
        "cost_memory_used": f"sum by (service, host) (process_resident_memory_bytes) / {GIB}",
        "cost_memory_reserved": (
            f"sum by (service, host) ({_of_containers('container_spec_memory_limit_bytes')} > 0) / {GIB}"
        ),
        "cost_models_served": "count by (service, host) (max by (service, host, instance) (vllm:num_requests_running))",
        "cost_replicas": "count by (service) (up == 1)",
        "cost_tokens_asked": (
            f"sum by (service, gen_ai_token_type) (rate(gen_ai_client_token_usage_total{OVER})) * 3600 / 1e6"
        ),
        # What they do with it.
        "cost_requests": (
            f"sum by (service) (rate(http_server_request_duration_seconds_count{OVER})) "
            f"or sum by (service) (rate(vllm:request_success_total{OVER}))"
        ),
        "cost_tokens_served": (
            f"sum by (service) (rate(gen_ai_server_token_usage_total{OVER})) "
            f"or sum by (service) (rate(vllm:prompt_tokens_total{OVER}) + rate(vllm:generation_tokens_total{OVER}))"
        ),
        "cost_slo_errors": "max by (service, slo) (service_slo:slo_errors:ratio_rate30d)",
        "cost_slo_objectives": "max by (service, slo) (service_slo:slo_objective:ratio)",
        "cost_slo_seconds": "max by (service, slo) (service_slo:slo_window:seconds)",
    },
    every=OFTEN_SECONDS,
    step=60.0,
    points=2,
)
