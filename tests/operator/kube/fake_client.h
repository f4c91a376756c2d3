// A Client whose calls are functions of the test; a call without one fails the test.
#pragma once

#include <functional>

#include <gtest/gtest.h>

#include "operator/kube/client.h"

namespace millrace::testing {

class FakeClient : public controller::kube::Client {
 public:
  using Object = controller::kube::Object;
  using ObjectKey = controller::kube::ObjectKey;
  using ResourceKind = controller::kube::ResourceKind;
  using Json = controller::kube::Json;

  std::function<std::optional<Object>(const ObjectKey&)> on_get;
  std::function<controller::kube::ListResult(const controller::kube::ListOptions&)> on_list;
  std::function<Object(const Object&)> on_create;
  std::function<Object(const ObjectKey&, const Json&)> on_patch;
  std::function<controller::kube::WatchOutcome(const controller::kube::WatchOptions&,
                                               const controller::kube::WatchHandler&, std::stop_token)>
      on_watch;

  std::optional<Object> get(const ResourceKind&, const ObjectKey& key) override { return call(on_get)(key); }
  controller::kube::ListResult list(const ResourceKind&, const controller::kube::ListOptions& options) override {
    return call(on_list)(options);
  }
  Object create(const ResourceKind&, const Object& object) override { return call(on_create)(object); }
  Object apply(const ResourceKind&, const Object& object, const controller::kube::ApplyOptions&) override {
    ADD_FAILURE() << "apply is not expected";
    return object;
  }
  Object patch(const ResourceKind&, const ObjectKey& key, const Json& patch,
               const controller::kube::PatchOptions&) override {
    return call(on_patch)(key, patch);
  }
  bool remove(const ResourceKind&, const ObjectKey&, const controller::kube::RemoveOptions&) override {
    ADD_FAILURE() << "remove is not expected";
    return false;
  }
  controller::kube::WatchOutcome watch(const ResourceKind&, const controller::kube::WatchOptions& options,
                                       const controller::kube::WatchHandler& handler, std::stop_token stop) override {
    return call(on_watch)(options, handler, stop);
  }
  controller::kube::Eviction evict(const ObjectKey&, std::optional<std::int64_t>) override {
    ADD_FAILURE() << "evict is not expected";
    return controller::kube::Eviction::kNotFound;
  }

 private:
  template <typename Function>
  static const Function& call(const Function& function) {
    if (!function) throw std::logic_error("this call is not expected");
    return function;
  }
};

}  // namespace millrace::testing
