{{/*
What the cluster itself measures: containers by the kubelet's cAdvisor, volumes by the kubelet, objects by a kube-state-metrics
that runs somewhere. Kubelets have certificates that nobody signed, so that only the token is checked, by the kubelet.
*/}}
{{- define "perfloop.clusterJobs" -}}
{{- range $job, $path := dict "cadvisor" "/metrics/cadvisor" "kubelet" "/metrics" }}
- job_name: {{ $job }}
  scrape_interval: 15s
  scrape_timeout: 10s
  scheme: https
  metrics_path: {{ $path }}
  honor_labels: true
  honor_timestamps: false
  authorization: {credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token}
  tls_config: {insecure_skip_verify: true}
  kubernetes_sd_configs: [{role: node}]
  relabel_configs:
    - {source_labels: [__meta_kubernetes_node_name], target_label: host}
    - {source_labels: [__meta_kubernetes_node_name], target_label: node}
{{- end }}
- job_name: kube-state-metrics
  scrape_interval: 15s
  scrape_timeout: 10s
  honor_labels: true
  kubernetes_sd_configs:
    - role: pod
      selectors: [{role: pod, label: app.kubernetes.io/name=kube-state-metrics}]
  relabel_configs:
    - {source_labels: [__meta_kubernetes_pod_phase], regex: Succeeded|Failed, action: drop}
    - {source_labels: [__meta_kubernetes_pod_container_port_name], regex: http|http-metrics, action: keep}
    - {source_labels: [__meta_kubernetes_pod_node_name], target_label: host}
{{- end -}}
