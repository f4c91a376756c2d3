// Where an operator is stopped: at the n-th of its writes, be they to the API server or to agents.
#pragma once

#include <string>

#include "common/error.h"
#include "operator/kube/client.h"
#include "operator/probe/expert_client.h"

namespace millrace::controller::testing {

enum class Fault {
  kKilledBefore,  // the process ends, and the write never left it
  kKilledBehind,  // the process ends when the write has been done
  kRefused,       // the process lives; the write was not done
  kAnswerLost,    // the process lives; the write was done, and nobody said so
};

// The end of the process. No error: nothing in the operator may catch it.
struct Killed {};

class FaultPoint {
 public:
  int at = -1;  // the write that goes wrong; -1: none
  Fault fault = Fault::kKilledBefore;
  int writes = 0;

  template <typename Write>
  auto pass(Write&& write) {
    if (writes++ != at) return write();
    if (fault == Fault::kKilledBefore) throw Killed();
    if (fault == Fault::kRefused) throw lost();
    static_cast<void>(write());
    if (fault == Fault::kKilledBehind) throw Killed();
    throw lost();
  }

 private:
  static kube::ApiError lost() { return {common::Code::kUnavailable, 0, "", "the connection broke"}; }
};

class FaultyClient final : public kube::Client {
 public:
  // Both are borrowed.
  FaultyClient(kube::Client& inner, FaultPoint& point) : inner_(inner), point_(point) {}

  std::optional<kube::Object> get(const kube::ResourceKind& kind, const kube::ObjectKey& key) override {
    return inner_.get(kind, key);
  }
  kube::ListResult list(const kube::ResourceKind& kind, const kube::ListOptions& options) override {
    return inner_.list(kind, options);
  }
  kube::Object create(const kube::ResourceKind& kind, const kube::Object& object) override {
    return point_.pass([&] { return inner_.create(kind, object); });
  }
  using Client::apply;
  kube::Object apply(const kube::ResourceKind& kind, const kube::Object& object,
                     const kube::ApplyOptions& options) override {
    return point_.pass([&] { return inner_.apply(kind, object, options); });
  }
  using Client::patch;
  kube::Object patch(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::Json& merge_patch,
                     const kube::PatchOptions& options) override {
    return point_.pass([&] { return inner_.patch(kind, key, merge_patch, options); });
  }
  using Client::remove;
  bool remove(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::RemoveOptions& options) override {
    return point_.pass([&] { return inner_.remove(kind, key, options); });
  }
  kube::WatchOutcome watch(const kube::ResourceKind& kind, const kube::WatchOptions& options,
                           const kube::WatchHandler& handler, std::stop_token stop) override {
    return inner_.watch(kind, options, handler, stop);
  }
  kube::Eviction evict(const kube::ObjectKey& pod, std::optional<std::int64_t> grace_period) override {
    return point_.pass([&] { return inner_.evict(pod, grace_period); });
  }

 private:
  kube::Client& inner_;
  FaultPoint& point_;
};

class FaultyExperts final : public ExpertClient {
 public:
  FaultyExperts(ExpertClient& inner, FaultPoint& point) : inner_(inner), point_(point) {}

  common::ExpertLoadReport load(const AgentAddress& agent) override { return inner_.load(agent); }
  common::ExpertPlacementMessage placement(const AgentAddress& agent) override { return inner_.placement(agent); }
  void move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) override {
    point_.pass([&] {
      inner_.move(agent, placement);
      return true;
    });
  }

 private:
  ExpertClient& inner_;
  FaultPoint& point_;
};

}  // namespace millrace::controller::testing
