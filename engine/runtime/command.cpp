#include "engine/runtime/command.h"

#include <cstring>
#include <string>
#include <type_traits>

#include "common/error.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

class Writer {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    message_.insert(message_.end(), bytes, bytes + sizeof(T));
  }
  template <typename T>
  void put_all(const std::vector<T>& values) {
    put(static_cast<std::uint64_t>(values.size()));
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    message_.insert(message_.end(), bytes, bytes + values.size() * sizeof(T));
  }
  void put_text(const std::string& text) { put_all(std::vector<char>(text.begin(), text.end())); }
  std::vector<std::byte> take() { return std::move(message_); }

 private:
  std::vector<std::byte> message_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> message) : rest_(message) {}

  template <typename T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <typename T>
  std::vector<T> get_all() {
    const auto count = get<std::uint64_t>();
    if (count > rest_.size() / sizeof(T)) throw truncated();
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), take(count * sizeof(T)).data(), count * sizeof(T));
    return values;
  }
  std::string get_text() {
    const auto characters = get_all<char>();
    return {characters.begin(), characters.end()};
  }
  void expect_end() const {
    if (!rest_.empty()) throw truncated();
  }

 private:
  static Error truncated() {
    return {Code::kDataLoss, "a message between the ranks is malformed; do all pods run the same version?"};
  }
  std::span<const std::byte> take(std::size_t size) {
    if (size > rest_.size()) throw truncated();
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  std::span<const std::byte> rest_;
};

void write(Writer& out, const RunStep& step) {
  const StepInputs& inputs = step.inputs;
  out.put_all(inputs.token_ids);
  out.put_all(inputs.positions);
  out.put_all(inputs.plane_positions);
  out.put_all(inputs.row_begin);
  out.put_all(inputs.context);
  out.put_all(inputs.blocks);
  out.put(inputs.max_blocks);
  out.put_all(inputs.slots);
  out.put_all(inputs.logit_rows);
  std::vector<std::int32_t> copies;
  for (const auto& [from, to] : inputs.slot_copies) copies.insert(copies.end(), {from, to});
  out.put_all(copies);
}

RunStep read_step(Reader& in) {
  RunStep step;
  StepInputs& inputs = step.inputs;
  inputs.token_ids = in.get_all<TokenId>();
  inputs.positions = in.get_all<std::int32_t>();
  inputs.plane_positions = in.get_all<std::int32_t>();
  inputs.row_begin = in.get_all<std::int32_t>();
  inputs.context = in.get_all<std::int32_t>();
  inputs.blocks = in.get_all<std::int32_t>();
  inputs.max_blocks = in.get<std::int32_t>();
  inputs.slots = in.get_all<std::int32_t>();
  inputs.logit_rows = in.get_all<std::int32_t>();
  const auto copies = in.get_all<std::int32_t>();
  for (std::size_t i = 0; i + 1 < copies.size(); i += 2) inputs.slot_copies.emplace_back(copies[i], copies[i + 1]);
  return step;
}

void write(Writer& out, const PreparePlacement& command) {
  const ExpertPlacement& placement = command.placement;
  out.put(placement.number);
  out.put(placement.num_experts);
  out.put(placement.ep_size);
  out.put(placement.slots_per_rank);
  out.put(static_cast<std::uint64_t>(placement.slots.size()));
  for (const auto& layer : placement.slots) out.put_all(layer);
  out.put(command.max_bytes_per_second);
}

PreparePlacement read_placement(Reader& in) {
  PreparePlacement command;
  ExpertPlacement& placement = command.placement;
  placement.number = in.get<std::int64_t>();
  placement.num_experts = in.get<std::int32_t>();
  placement.ep_size = in.get<std::int32_t>();
  placement.slots_per_rank = in.get<std::int32_t>();
  const auto layers = in.get<std::uint64_t>();
  for (std::uint64_t layer = 0; layer < layers; ++layer) placement.slots.push_back(in.get_all<std::int32_t>());
  command.max_bytes_per_second = in.get<std::int64_t>();
  return command;
}

void write(Writer&, const PollPlacement&) {}
void write(Writer&, const CommitPlacement&) {}
void write(Writer&, const KeepAlive&) {}
void write(Writer&, const Stop&) {}
void write(Writer&, const DropPlacement&) {}

Command read(Reader& in, std::size_t kind) {
  switch (kind) {
    case 0:
      return read_step(in);
    case 1:
      return read_placement(in);
    case 2:
      return PollPlacement{};
    case 3:
      return CommitPlacement{};
    case 4:
      return KeepAlive{};
    case 5:
      return Stop{};
    case 6:
      return DropPlacement{};
    default:
      throw Error(Code::kDataLoss, "unknown message kind " + std::to_string(kind) + " between the ranks");
  }
}
static_assert(std::variant_size_v<Command> == 7, "read() lists every kind");

}  // namespace

std::vector<std::byte> encode(const Command& command) {
  Writer out;
  out.put(static_cast<std::uint8_t>(command.index()));
  std::visit([&](const auto& kind) { write(out, kind); }, command);
  return out.take();
}

Command decode_command(std::span<const std::byte> message) {
  Reader in(message);
  const auto kind = in.get<std::uint8_t>();
  Command command = read(in, kind);
  in.expect_end();
  return command;
}

std::vector<std::byte> encode(const PlacementProgress& progress) {
  Writer out;
  out.put(progress.state);
  out.put_text(progress.message);
  return out.take();
}

PlacementProgress decode_progress(std::span<const std::byte> message) {
  Reader in(message);
  PlacementProgress progress;
  progress.state = in.get<PlacementProgress::State>();
  progress.message = in.get_text();
  in.expect_end();
  return progress;
}

}  // namespace millrace::engine
