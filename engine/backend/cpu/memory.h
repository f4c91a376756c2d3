// Host memory of the CPU back end: page-aligned, zeroed, backed by huge pages where the kernel grants them, because a
// decode step streams gigabytes of weights and would otherwise spend its time in the page walker.
#pragma once

#include <cstddef>
#include <memory>

namespace millrace::engine::cpu {

constexpr std::size_t kCacheLine = 64;

struct FreeMemory {
  std::size_t mapped = 0;  // 0: from aligned_alloc, otherwise the length to unmap
  void operator()(std::byte* memory) const;
};

// Owns a zeroed, cache-line aligned region. Throws common::Error{kResourceExhausted} when the system has no more.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);

  std::byte* data() const { return memory_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<std::byte, FreeMemory> memory_;
  std::size_t bytes_ = 0;
};

// Scratch of one operation: take() until reset(). The first operations of a kind make it grow, later ones reuse it.
// The back end's own thread only; spans stay valid until reset().
class Arena {
 public:
  template <typename T>
  T* take(std::size_t count) {
    return reinterpret_cast<T*>(take_bytes(count * sizeof(T)));
  }
  void reset();

 private:
  std::byte* take_bytes(std::size_t bytes);

  struct Overflow {
    Buffer buffer;
    std::unique_ptr<Overflow> next;
  };
  Buffer main_;
  std::size_t used_ = 0;    // of main_
  std::size_t wanted_ = 0;  // since the last reset, main_ and overflow
  std::unique_ptr<Overflow> overflow_;
};

}  // namespace millrace::engine::cpu
