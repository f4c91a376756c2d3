#include "operator/local/volumes.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "common/base64.h"
#include "common/error.h"

namespace millrace::controller::local {
namespace {

namespace fs = std::filesystem;
using common::Code;
using common::Error;
using kube::Json;

bool is_below(const std::string& text, const std::string& path) {
  return text.starts_with(path) && (text.size() == path.size() || text[path.size()] == '/' || path.ends_with('/'));
}

class Mounter {
 public:
  Mounter(const kube::Object& pod, kube::Client& client, const HostPaths& host_paths, const fs::path& root)
      : pod_(pod), client_(client), host_paths_(host_paths), root_(root) {}

  std::vector<MountedPath> mount() {
    std::map<std::string, fs::path> folders;
    for (const Json& json : pod_.at("/spec/volumes")) {
      const kube::Object volume(json);
      folders[volume.string_at("/name")] = materialise(volume);
    }
    std::vector<MountedPath> mounts;
    for (const Json& json : pod_.at("/spec/containers/0/volumeMounts")) {
      const kube::Object mount(json);
      const auto folder = folders.find(mount.string_at("/name"));
      if (folder == folders.end())
        throw Error(Code::kInvalidArgument, "no volume is named " + mount.string_at("/name"));
      const std::string sub_path = mount.string_at("/subPath");
      mounts.push_back({mount.string_at("/mountPath"), sub_path.empty() ? folder->second : folder->second / sub_path});
    }
    std::sort(mounts.begin(), mounts.end(),
              [](const MountedPath& a, const MountedPath& b) { return a.mount_path.size() > b.mount_path.size(); });
    return mounts;
  }

 private:
  fs::path materialise(const kube::Object& volume) {
    const fs::path folder = root_ / volume.string_at("/name");
    const Json& json = volume.json();
    if (json.contains("hostPath")) return host_folder(volume.string_at("/hostPath/path"));
    fs::create_directories(folder);
    fs::permissions(folder, fs::perms::owner_all);
    if (json.contains("configMap")) {
      write_all(kube::kConfigMap, volume.string_at("/configMap/name"), volume.at("/configMap/items"), folder);
    } else if (json.contains("secret")) {
      write_all(kube::kSecret, volume.string_at("/secret/secretName"), volume.at("/secret/items"), folder);
    } else if (!json.contains("emptyDir")) {
      throw Error(Code::kUnimplemented, "volume " + volume.string_at("/name") +
                                            " is of a kind that the local mode does not have: use hostPath, "
                                            "configMap, secret or emptyDir (file:///path for models)");
    }
    return folder;
  }

  fs::path host_folder(const std::string& path) const {
    fs::path folder = path;
    for (const auto& [prefix, mapped] : host_paths_) {
      if (!is_below(path, prefix)) continue;
      const std::size_t rest = path.find_first_not_of('/', prefix.size());
      folder = rest == std::string::npos ? mapped : mapped / path.substr(rest);
      break;
    }
    if (!fs::is_directory(folder)) {
      throw Error(Code::kNotFound, "there is no folder " + folder.string() + " for host path " + path +
                                       ": correct spec.model.source or say where models are (--models-dir)");
    }
    return folder;
  }

  void write_all(const kube::ResourceKind& kind, const std::string& name, const Json& items, const fs::path& folder) {
    const auto object = client_.get(kind, {pod_.ns(), name});
    if (!object) throw Error(Code::kNotFound, std::string(kind.kind) + " " + name + " does not exist");
    const auto content = [&](const std::string& key) {
      const std::string text = object->string_at("/data/" + key);
      return kind == kube::kSecret ? common::decode_base64(text).value_or("") : text;
    };
    if (items.is_array()) {
      for (const Json& json : items) {
        const kube::Object item(json);
        if (!object->at("/data").contains(item.string_at("/key"))) {
          throw Error(Code::kNotFound, std::string(kind.kind) + " " + name + " has no key " + item.string_at("/key"));
        }
        write(folder / item.string_at("/path"), content(item.string_at("/key")));
      }
      return;
    }
    for (const auto& entry : object->at("/data").items()) write(folder / entry.key(), content(entry.key()));
  }

  static void write(const fs::path& file, const std::string& text) {
    std::ofstream stream(file, std::ios::binary | std::ios::trunc);
    if (!(stream << text)) throw Error(Code::kUnavailable, file.string() + " cannot be written");
  }

  const kube::Object& pod_;
  kube::Client& client_;
  const HostPaths& host_paths_;
  const fs::path root_;
};

}  // namespace

std::vector<MountedPath> mount_volumes(const kube::Object& pod, kube::Client& client, const HostPaths& host_paths,
                                       const fs::path& root) {
  return Mounter(pod, client, host_paths, root).mount();
}

std::string to_machine_path(const std::string& text, const std::vector<MountedPath>& mounts) {
  for (const MountedPath& mount : mounts) {
    if (is_below(text, mount.mount_path)) return mount.folder.string() + text.substr(mount.mount_path.size());
  }
  return text;
}

}  // namespace millrace::controller::local
