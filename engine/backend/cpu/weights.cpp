#include "engine/backend/cpu/weights.h"

#include <cassert>
#include <cstring>

#include "engine/backend/cpu/half.h"

namespace millrace::engine::cpu {
namespace {

template <typename Element>
Element load(const std::byte* row, std::int64_t col) {
  Element value;
  std::memcpy(&value, row + col * static_cast<std::int64_t>(sizeof(Element)), sizeof(Element));
  return value;
}

float load_as_float(const SourceRow& row, std::int64_t col) {
  switch (row.dtype) {
    case DType::kBF16:
      return bf16_to_float(load<std::uint16_t>(row.data, col));
    case DType::kF16:
      return f16_to_float(load<std::uint16_t>(row.data, col));
    default:
      return load<float>(row.data, col);
  }
}

void pack_bf16(const PanelShape& shape, const PanelSources& sources, std::byte* panel) {
  auto* to = reinterpret_cast<std::uint16_t*>(panel);
  for (std::int64_t c = 0; c < shape.cols; c += 2) {
    for (const SourceRow& row : sources) {
      *to++ = row.data == nullptr ? std::uint16_t{0} : load<std::uint16_t>(row.data, c);
      *to++ = row.data == nullptr || c + 1 == shape.cols ? std::uint16_t{0} : load<std::uint16_t>(row.data, c + 1);
    }
  }
}

template <typename Element, typename Load>
void pack_columns(const PanelShape& shape, const PanelSources& sources, std::byte* panel, Load load_element) {
  auto* to = reinterpret_cast<Element*>(panel);
  for (std::int64_t c = 0; c < shape.even_cols(); ++c) {
    for (const SourceRow& row : sources) {
      *to++ = row.data == nullptr || c == shape.cols ? Element{} : load_element(row, c);
    }
  }
}

SourceRow row_of(const HostMatrix& matrix, std::int64_t row) {
  const auto* data = static_cast<const std::byte*>(matrix.data);
  return {data + row * matrix.stride * static_cast<std::int64_t>(size_of(matrix.dtype)), matrix.dtype};
}

SourceRow row_of_stack(std::span<const HostMatrix> parts, std::int64_t row) {
  for (const HostMatrix& part : parts) {
    if (row < part.rows) return row_of(part, row);
    row -= part.rows;
  }
  return {};
}

DType common_dtype(std::span<const HostMatrix> parts) {
  for (const HostMatrix& part : parts) {
    if (part.dtype != parts[0].dtype) return DType::kF32;
  }
  return parts[0].dtype;
}

void pack_rows(const PanelShape& shape, std::span<const HostMatrix> parts, std::int64_t panel, std::byte* to) {
  PanelSources sources;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    sources[i] = row_of_stack(parts, panel * kPanelRows + static_cast<std::int64_t>(i));
  }
  pack_panel(shape, sources, to);
}

}  // namespace

void pack_panel(const PanelShape& shape, const PanelSources& sources, std::byte* panel) {
  switch (shape.dtype) {
    case DType::kBF16:
      return pack_bf16(shape, sources, panel);
    case DType::kF16:
      return pack_columns<std::uint16_t>(
          shape, sources, panel, [](const SourceRow& row, std::int64_t c) { return load<std::uint16_t>(row.data, c); });
    default:
      return pack_columns<float>(shape, sources, panel, load_as_float);
  }
}

Linear::Linear(std::span<const HostMatrix> parts, std::span<const float> bias, ThreadPool& pool)
    : bias_(bias.begin(), bias.end()) {
  shape_ = {common_dtype(parts), 0, parts[0].cols};
  for (const HostMatrix& part : parts) {
    assert(part.cols == shape_.cols);
    shape_.rows += part.rows;
  }
  assert(bias.empty() || static_cast<std::int64_t>(bias.size()) == shape_.rows);
  memory_ = Buffer(static_cast<std::size_t>(shape_.bytes()));
  pool.run(shape_.panels(), [&](std::int64_t p, std::int32_t) {
    pack_rows(shape_, parts, p, memory_.data() + p * shape_.panel_bytes());
  });
}

void Experts::pack(std::int64_t index, const HostMatrix& gate, const HostMatrix& up, const HostMatrix& down) {
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  const HostMatrix in_parts[] = {gate, up};
  PanelShape half{common_dtype(in_parts), shape_.intermediate, shape_.hidden};
  slot.gate_up = {half.dtype, 2 * half.panels() * kPanelRows, shape_.hidden};
  slot.down = {down.dtype, shape_.hidden, shape_.intermediate};
  auto bytes = static_cast<std::size_t>(slot.gate_up.bytes() + slot.down.bytes());
  if (slot.memory.bytes() != bytes) slot.memory = Buffer(bytes);
  std::byte* to = slot.memory.data();
  for (std::int64_t p = 0; p < half.panels(); ++p) {
    for (const HostMatrix& part : in_parts) {
      pack_rows(half, {&part, 1}, p, to);
      to += half.panel_bytes();
    }
  }
  for (std::int64_t p = 0; p < slot.down.panels(); ++p) {
    pack_rows(slot.down, {&down, 1}, p, to);
    to += slot.down.panel_bytes();
  }
}

std::size_t Experts::bytes() const {
  std::size_t sum = 0;
  for (const Slot& slot : slots_) sum += slot.memory.bytes();
  return sum;
}

PanelView Experts::gate_up(std::int64_t slot) const {
  const Slot& s = slots_[static_cast<std::size_t>(slot)];
  return {s.gate_up, s.memory.data()};
}

PanelView Experts::down(std::int64_t slot) const {
  const Slot& s = slots_[static_cast<std::size_t>(slot)];
  return {s.down, s.memory.data() + s.gate_up.bytes()};
}

}  // namespace millrace::engine::cpu
