// The volumes of a pod as folders of this machine.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/client.h"

namespace millrace::controller::local {

// "/models" of the pretended nodes is a folder of this machine. The first entry whose path matches wins.
using HostPaths = std::vector<std::pair<std::string, std::filesystem::path>>;

struct MountedPath {
  std::string mount_path;        // as the container knows it
  std::filesystem::path folder;  // where it is
};

// Makes a folder below `root` for every volume of the pod: ConfigMaps and Secrets written out, emptyDir empty, hostPath
// mapped. Returns the mounts of the pod's first container, longest path first. Throws common::Error{kNotFound} for an
// object or folder that is not there (worth a later attempt), kUnimplemented for kinds of volumes this node lacks.
std::vector<MountedPath> mount_volumes(const kube::Object& pod, kube::Client& client, const HostPaths& host_paths,
                                       const std::filesystem::path& root);

// Brings what ConfigMaps and Secrets wrote there up to date, as a kubelet does: all files of a volume at once. What
// cannot be read now stays as it is.
void refresh_volumes(const kube::Object& pod, kube::Client& client, const std::filesystem::path& root);

// Replaces a leading mount path: "/model/a" becomes "<folder>/a".
std::string to_machine_path(const std::string& text, const std::vector<MountedPath>& mounts);

}  // namespace millrace::controller::local
