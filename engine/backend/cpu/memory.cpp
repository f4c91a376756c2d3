#include "engine/backend/cpu/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "common/error.h"

namespace millrace::engine::cpu {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr std::size_t round_up(std::size_t value, std::size_t to) {
  return (value + to - 1) / to * to;
}

[[noreturn]] void throw_exhausted(std::size_t bytes) {
  throw common::Error(common::Code::kResourceExhausted,
                      "cannot allocate " + std::to_string(bytes) + " bytes of host memory for the CPU back end");
}

// Huge-page aligned mapping: over-map by one page and trim, since mmap aligns to 4 KiB only.
std::byte* map_huge(std::size_t length) {
  void* raw = mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  auto address = reinterpret_cast<std::uintptr_t>(raw);
  std::uintptr_t begin = round_up(address, kHugePage);
  if (begin > address) munmap(raw, begin - address);
  std::size_t tail = address + kHugePage - begin;
  auto* memory = reinterpret_cast<std::byte*>(begin);
  if (tail > 0) munmap(memory + length, tail);
  madvise(memory, length, MADV_HUGEPAGE);  // advice only: without it everything works, slower
  return memory;
}

}  // namespace

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes >= kHugePage) {
    std::size_t length = round_up(bytes, kHugePage);
    std::byte* memory = map_huge(length);
    if (memory == nullptr) throw_exhausted(bytes);
    memory_ = {memory, FreeMemory{length}};
    return;
  }
  std::size_t length = round_up(bytes, kCacheLine);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kCacheLine, length));
  if (memory == nullptr) throw_exhausted(bytes);
  std::memset(memory, 0, length);
  memory_ = {memory, FreeMemory{0}};
}

void FreeMemory::operator()(std::byte* memory) const {
  if (mapped > 0) {
    munmap(memory, mapped);
  } else {
    std::free(memory);
  }
}

std::byte* Arena::take_bytes(std::size_t bytes) {
  bytes = round_up(bytes == 0 ? 1 : bytes, kCacheLine);
  wanted_ += bytes;
  if (used_ + bytes <= main_.bytes()) {
    std::byte* at = main_.data() + used_;
    used_ += bytes;
    return at;
  }
  auto extra = std::make_unique<Overflow>();
  extra->buffer = Buffer(bytes);
  extra->next = std::move(overflow_);
  overflow_ = std::move(extra);
  return overflow_->buffer.data();
}

void Arena::reset() {
  if (overflow_) {
    overflow_.reset();
    main_ = Buffer();  // free first: the old and the new one need not fit together
    main_ = Buffer(round_up(wanted_ + wanted_ / 4, kCacheLine));
  }
  used_ = 0;
  wanted_ = 0;
}

}  // namespace millrace::engine::cpu
