#!/usr/bin/env bash
# One node, from within its namespaces; started by nodes.sh. Ends, and everything on it, when one of its servers ends.
#
#   node.sh DIR NAME NUMBER
set -euo pipefail

dir=$1 name=$2 number=$3
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
own=$dir/$name
program() { "$repository/scripts/cluster-tools.sh" --find "$1"; }
mkdir -p "$own/cni"

# What every node of a machine would write to the same place.
for folder in /run/netns /run/containerd /var/lib/cni /var/lib/kubelet /var/log/pods /var/log/containers; do
  mkdir -p "$folder" "$own$folder"
  mount --bind "$own$folder" "$folder"
done
mkdir -p /models
mount --bind "$repository/examples/models" /models # where examples/tiny-moe.yaml expects it

cat >"$own/cni/10-bridge.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
   "ipam": {"type": "host-local", "subnet": "10.244.$number.0/24", "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF

cat >"$own/containerd.toml" <<EOF
version = 2
root = "$own/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "$own/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:3.10"
  disable_apparmor = true
  disable_tcp_service = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$own/cni"
EOF

: >"$own/resolv.conf"
cat >"$own/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $dir/pki/kubelet-$name.crt
tlsPrivateKeyFile: $dir/pki/kubelet-$name.key
cgroupDriver: cgroupfs
cgroupRoot: /millrace-$name
containerRuntimeEndpoint: unix://$own/containerd.sock
clusterDNS: [10.200.0.1]
clusterDomain: cluster.local
resolvConf: $own/resolv.conf
failSwapOn: false
volumePluginDir: $own/volume-plugins
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
nodeStatusUpdateFrequency: 4s
EOF

containerd --config "$own/containerd.toml" >>"$dir/containerd-$name.log" 2>&1 &
until ctr --address "$own/containerd.sock" version >/dev/null 2>&1; do
  jobs -r -p | grep -q . || exit 1
  sleep 0.1
done
"$(program kubelet)" --config="$own/kubelet.yaml" --kubeconfig="$dir/kubelet-$name.kubeconfig" \
  --hostname-override="$name" --node-ip="10.200.0.1$number" --root-dir=/var/lib/kubelet --cert-dir="$own/certificates" \
  --node-labels="topology.kubernetes.io/zone=zone-$name,topology.kubernetes.io/region=here" \
  >>"$dir/kubelet-$name.log" 2>&1 &
"$(program kube-proxy)" --kubeconfig="$dir/system:kube-proxy.kubeconfig" --hostname-override="$name" \
  --proxy-mode=iptables --cluster-cidr=10.244.0.0/16 --bind-address="10.200.0.1$number" --conntrack-max-per-core=0 \
  --conntrack-min=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s \
  >>"$dir/kube-proxy-$name.log" 2>&1 &
wait -n
