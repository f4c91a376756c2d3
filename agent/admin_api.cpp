#include "agent/admin_api.h"

#include <nlohmann/json.hpp>

#include "agent/answer_json.h"
#include "agent/api_error.h"
#include "common/agent_api.h"
#include "common/error.h"
#include "common/log.h"
#include "common/tls.h"

namespace millrace::agent {
namespace {

using common::AgentPhase;
using common::Code;
using common::Error;
using common::HttpReply;
using common::HttpRequest;
using common::HttpResponse;

template <typename Value>
HttpResponse json_answer(const Value& value) {
  return json_response(nlohmann::json(value));
}

HttpResponse text_response(int status, const std::string& text) {
  return {.status = status, .body = text + "\n", .content_type = "text/plain"};
}

int http_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kNotFound:
      return 404;
    case Code::kConflict:
      return 409;
    case Code::kResourceExhausted:
      return 429;
    case Code::kUnimplemented:
      return 501;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return 503;
    default:
      return 500;
  }
}

template <typename Value>
Value read_body(const HttpRequest& request) {
  const auto json = nlohmann::json::parse(request.body, nullptr, false);
  if (json.is_discarded()) throw Error(Code::kInvalidArgument, "the body is not valid JSON");
  return json.get<Value>();
}

// Runs one unit of work; what it throws becomes an answer.
template <typename Work>
HttpReply guarded_reply(Work work) {
  try {
    return work();
  } catch (const Error& error) {
    return error_response(http_status(error.code()), error.what());
  } catch (const std::exception& error) {
    common::log_error("admin request failed", {{"error", error.what()}});
    return error_response(500, "internal error");
  }
}

common::ExpertPlacementMessage to_message(const engine::ExpertPlacement& placement) {
  common::ExpertPlacementMessage message;
  message.number = placement.number;
  message.slots_per_rank = placement.slots_per_rank;
  message.slots = placement.slots;
  return message;
}

common::ExpertLoadReport to_report(const engine::ExpertLoad& load) {
  common::ExpertLoadReport report;
  report.steps = load.total_steps;
  if (load.total_tokens.empty()) {  // nothing ran yet
    report.tokens.assign(static_cast<std::size_t>(load.num_layers),
                         std::vector<std::int64_t>(static_cast<std::size_t>(load.num_experts), 0));
    return report;
  }
  for (std::int32_t layer = 0; layer < load.num_layers; ++layer) {
    const auto begin = load.total_tokens.begin() + static_cast<std::ptrdiff_t>(layer) * load.num_experts;
    report.tokens.emplace_back(begin, begin + load.num_experts);
  }
  return report;
}

double share(std::int64_t used, std::int64_t total) {
  return total == 0 ? 0.0 : static_cast<double>(used) / static_cast<double>(total);
}

}  // namespace

struct AdminApi::Route {
  std::string_view method;
  std::string_view path;
  bool open;  // needs no token
  HttpReply (AdminApi::*handler)(const HttpRequest&);
};

const AdminApi::Route AdminApi::kRoutes[] = {
    {"GET", "/livez", true, &AdminApi::livez},
    {"GET", "/readyz", true, &AdminApi::readyz},
    {"GET", "/metrics", false, &AdminApi::metrics},
    {"GET", "/admin/v1/status", false, &AdminApi::get_status},
    {"PUT", "/admin/v1/group", false, &AdminApi::put_group},
    {"POST", "/admin/v1/drain", false, &AdminApi::drain},
    {"POST", "/admin/v1/chat/completions", false, &AdminApi::chat},
    {"GET", "/admin/v1/experts/load", false, &AdminApi::get_expert_load},
    {"GET", "/admin/v1/experts/placement", false, &AdminApi::get_placement},
    {"PUT", "/admin/v1/experts/placement", false, &AdminApi::put_placement},
};

HttpReply AdminApi::handle(HttpRequest request) {
  return guarded_reply([&] { return dispatch(request); });
}

HttpReply AdminApi::dispatch(const HttpRequest& request) {
  bool known_path = false;
  for (const Route& route : kRoutes) {
    if (route.path != request.path) continue;
    known_path = true;
    if (route.method != request.method) continue;
    const bool open = route.open || (services_.open_metrics && route.path == "/metrics");
    if (!open && services_.token && !services_.token->accepts(request)) {
      throw Error(Code::kUnauthenticated, "no or wrong admin token; send the header Authorization: Bearer <token>");
    }
    return (this->*route.handler)(request);
  }
  if (known_path) return error_response(405, request.method.substr(0, 20) + " is not allowed here");
  throw Error(Code::kNotFound, "there is no " + request.path.substr(0, 200));
}

common::AgentStatus AdminApi::status() const {
  const Group::State state = services_.group.state();
  common::AgentStatus status;
  status.phase = state.phase;
  if (state.phase == AgentPhase::kServing) {
    if (services_.admission.draining()) status.phase = AgentPhase::kDraining;
    status.accepting = services_.admission.accepting();
  }
  status.message = state.message;
  status.generation = state.generation;
  status.pod_index = services_.pod_index;
  status.leader = state.leader;
  status.load_progress = state.load_progress;
  status.in_flight = services_.admission.in_flight();
  services_.slot.use([&](engine::Engine& engine) {
    const engine::EngineStats stats = engine.stats();
    status.running = stats.running;
    status.waiting = stats.waiting;
    status.kv_usage = share(stats.kv_blocks_used, engine.info().kv_blocks);
    status.state_usage = share(stats.state_slots_used, engine.info().state_slots);
    if (engine.info().num_experts > 0) status.placement_number = engine.expert_placement().number;
    const auto load = std::make_shared<common::AgentLoad>();
    load->queue = stats.waiting;
    load->running = stats.running;
    load->kv_usage = status.kv_usage;
    load->state_usage = status.state_usage;
    services_.metrics.load().read(*load);
    status.load = load;
  });
  return status;
}

std::string AdminApi::unready_reason() const {
  return services_.admission.draining() ? "draining" : group_trouble();
}

std::string AdminApi::group_trouble() const {
  const Group::State state = services_.group.state();
  if (state.phase == AgentPhase::kServing) return {};
  const std::string phase(to_string(state.phase));
  return state.message.empty() ? phase : phase + ": " + state.message;
}

HttpReply AdminApi::livez(const HttpRequest&) {
  return text_response(200, "ok");
}

HttpReply AdminApi::readyz(const HttpRequest&) {
  const std::string reason = unready_reason();
  return reason.empty() ? text_response(200, "ok") : text_response(503, reason);
}

HttpReply AdminApi::chat(const HttpRequest& request) {
  return services_.chat(request);
}

HttpReply AdminApi::metrics(const HttpRequest&) {
  MetricsSnapshot snapshot;
  snapshot.status = status();
  services_.slot.use([&snapshot](engine::Engine& engine) {
    snapshot.info = engine.info();
    snapshot.stats = engine.stats();
    if (snapshot.info.num_experts > 0) snapshot.expert_load = engine.expert_load();
  });
  if (services_.certificate) {
    try {
      snapshot.certificate_end = common::certificate_end(*services_.certificate);
    } catch (const common::Error&) {  // the server, which goes on with the one before, has said so
    }
  }
  return services_.metrics.render(snapshot);
}

HttpReply AdminApi::get_status(const HttpRequest&) {
  return json_answer(status());
}

HttpReply AdminApi::put_group(const HttpRequest& request) {
  services_.group.set_membership(read_body<common::GroupMembership>(request));
  return json_answer(status());
}

HttpReply AdminApi::drain(const HttpRequest&) {
  if (!services_.admission.draining()) {
    common::log_info("draining", {{"in_flight", services_.admission.in_flight()}});
  }
  services_.admission.drain(services_.late_requests);
  return json_answer(status());
}

HttpReply AdminApi::get_expert_load(const HttpRequest&) {
  common::ExpertLoadReport report;
  const bool running = services_.slot.use([&report](engine::Engine& engine) {
    if (engine.info().num_experts == 0) throw Error(Code::kUnimplemented, "the model has no experts");
    report = to_report(engine.expert_load());
    report.placement_number = engine.expert_placement().number;
    report.expert_bytes = engine.info().expert_bytes;
  });
  if (!running) throw Error(Code::kUnavailable, "no engine runs here: " + unready_reason());
  report.generation = services_.group.state().generation;
  return json_answer(report);
}

HttpReply AdminApi::get_placement(const HttpRequest&) {
  common::ExpertPlacementMessage message;
  const bool running = services_.slot.use([&message](engine::Engine& engine) {
    if (engine.info().num_experts == 0) throw Error(Code::kUnimplemented, "the model has no experts");
    message = to_message(engine.expert_placement());
  });
  message.move = expert_move_.report();
  if (!running) throw Error(Code::kUnavailable, "no engine runs here: " + unready_reason());
  return json_answer(message);
}

// Moving experts takes seconds or minutes: the answer says that it has begun, and GET how it ended.
HttpReply AdminApi::put_placement(const HttpRequest& request) {
  const auto message = read_body<common::ExpertPlacementMessage>(request);
  common::ExpertPlacementMessage answer;
  const bool running = services_.slot.use([&](engine::Engine& engine) {
    if (engine.info().num_experts == 0) throw Error(Code::kUnimplemented, "the model has no experts");
    engine::ExpertPlacement placement = engine.expert_placement();
    placement.number = message.number;
    placement.slots_per_rank = message.slots_per_rank;
    placement.slots = message.slots;
    engine::ExpertMoveOptions options;
    options.max_bytes_per_second = message.max_bytes_per_second;
    expert_move_.begin(message.number, engine.move_experts(placement, options));
    answer = to_message(engine.expert_placement());
  });
  if (!running) throw Error(Code::kUnavailable, "no engine runs here: " + unready_reason());
  answer.move = expert_move_.report();
  common::log_info("expert placement accepted", {{"number", message.number}});
  return json_answer(answer);
}

}  // namespace millrace::agent
