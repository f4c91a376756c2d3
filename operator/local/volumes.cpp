#include "operator/local/volumes.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "common/base64.h"
#include "common/error.h"
#include "common/file.h"

namespace millrace::controller::local {
namespace {

namespace fs = std::filesystem;
using common::Code;
using common::Error;
using kube::Json;

bool is_below(const std::string& text, const std::string& path) {
  return text.starts_with(path) && (text.size() == path.size() || text[path.size()] == '/' || path.ends_with('/'));
}

using Files = std::map<std::string, std::string>;  // content by name

// From an object of the cluster.
bool is_written(const kube::Object& volume) {
  return volume.json().contains("configMap") || volume.json().contains("secret");
}

Files files_of(const kube::Object& volume, const std::string& ns, kube::Client& client) {
  const bool secret = volume.json().contains("secret");
  const kube::ResourceKind& kind = secret ? kube::kSecret : kube::kConfigMap;
  const std::string name = volume.string_at(secret ? "/secret/secretName" : "/configMap/name");
  const Json& items = volume.at(secret ? "/secret/items" : "/configMap/items");
  const auto object = client.get(kind, {ns, name});
  if (!object) throw Error(Code::kNotFound, std::string(kind.kind) + " " + name + " does not exist");
  const Json& data = object->at("/data");
  const auto content = [&](const std::string& key) {
    if (!data.contains(key)) throw Error(Code::kNotFound, std::string(kind.kind) + " " + name + " has no key " + key);
    const std::string text = data[key].get<std::string>();
    return secret ? common::decode_base64(text).value_or("") : text;
  };
  Files files;
  if (items.is_array()) {
    for (const Json& item : items) files[item.value("path", "")] = content(item.value("key", ""));
  } else {
    for (const auto& entry : data.items()) files[entry.key()] = content(entry.key());
  }
  return files;
}

Files read_files(const fs::path& data) {
  Files files;
  for (const fs::directory_entry& file : fs::directory_iterator(data)) {
    files[file.path().filename()] = common::read_file(file.path(), "volume");
  }
  return files;
}

// As a kubelet: the files are links through the link ..data, which is swapped, so that they change all at once.
void write_files(const fs::path& folder, const Files& files) {
  const fs::path data = folder / "..data";
  const bool anew = !fs::is_symlink(data);
  if (!anew && read_files(data) == files) return;
  const fs::path before = anew ? fs::path("..1") : fs::read_symlink(data);
  const fs::path fresh = anew || before != "..1" ? "..1" : "..2";
  fs::remove_all(folder / fresh);
  fs::create_directory(folder / fresh);
  for (const auto& [name, text] : files) {
    std::ofstream stream(folder / fresh / name, std::ios::binary | std::ios::trunc);
    if (!(stream << text)) throw Error(Code::kUnavailable, (folder / fresh / name).string() + " cannot be written");
  }
  fs::create_directory_symlink(fresh, folder / "..swap");
  fs::rename(folder / "..swap", data);
  for (const auto& [name, text] : files) {
    if (!fs::is_symlink(folder / name)) fs::create_symlink(fs::path("..data") / name, folder / name);
  }
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
    fs::path folder = root_ / volume.string_at("/name");
    const Json& json = volume.json();
    if (json.contains("hostPath")) return host_folder(volume.string_at("/hostPath/path"));
    fs::create_directories(folder);
    fs::permissions(folder, fs::perms::owner_all);
    if (is_written(volume)) {
      write_files(folder, files_of(volume, pod_.ns(), client_));
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

void refresh_volumes(const kube::Object& pod, kube::Client& client, const fs::path& root) {
  for (const Json& json : pod.at("/spec/volumes")) {
    const kube::Object volume(json);
    if (!is_written(volume)) continue;
    try {
      write_files(root / volume.string_at("/name"), files_of(volume, pod.ns(), client));
    } catch (const std::exception&) {  // a kubelet tries again, and so does the next call
    }
  }
}

std::string to_machine_path(const std::string& text, const std::vector<MountedPath>& mounts) {
  for (const MountedPath& mount : mounts) {
    if (is_below(text, mount.mount_path)) return mount.folder.string() + text.substr(mount.mount_path.size());
  }
  return text;
}

}  // namespace millrace::controller::local
