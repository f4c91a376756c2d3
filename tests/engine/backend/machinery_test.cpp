// What stands under the operations: threads, scratch memory, selection of paths, caches, packing beside steps.
#include <atomic>
#include <set>
#include <thread>

#include "engine/backend/cpu/half.h"
#include "engine/backend/cpu/memory.h"
#include "engine/backend/cpu/thread_pool.h"
#include "tests/engine/backend/fixture.h"

namespace millrace::engine::test {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceOnAnyNumberOfThreads) {
  for (std::int32_t threads : {1, 2, 3, 8}) {
    cpu::ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (std::int64_t tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
      std::atomic<bool> strange_worker = false;
      pool.run(tasks, [&](std::int64_t task, std::int32_t worker) {
        ++runs[static_cast<std::size_t>(task)];
        if (worker < 0 || worker >= threads) strange_worker = true;
      });
      for (const auto& count : runs) EXPECT_EQ(count, 1);
      EXPECT_FALSE(strange_worker);
    }
  }
}

TEST(ThreadPool, MakesWorkOfOneRegionVisibleToTheNext) {
  cpu::ThreadPool pool(4);
  std::vector<std::int64_t> values(64);
  for (int round = 0; round < 2000; ++round) {
    pool.run(64, [&](std::int64_t task, std::int32_t) { values[static_cast<std::size_t>(63 - task)] += task; });
    pool.run(64, [&](std::int64_t task, std::int32_t) { values[static_cast<std::size_t>(task)] -= 63 - task; });
  }
  EXPECT_EQ(values, std::vector<std::int64_t>(64, 0));
}

TEST(Arena, GivesAlignedMemoryThatDoesNotOverlapAndStaysPut) {
  cpu::Arena arena;
  for (int round = 0; round < 3; ++round) {
    arena.reset();
    std::vector<std::pair<std::uintptr_t, std::uintptr_t>> ranges;
    for (std::size_t bytes : {1UL, 100UL, 5000000UL, 64UL, 3000000UL}) {
      auto begin = reinterpret_cast<std::uintptr_t>(arena.take<std::byte>(bytes));
      EXPECT_EQ(begin % cpu::kCacheLine, 0U);
      for (auto [from, to] : ranges) EXPECT_TRUE(begin + bytes <= from || begin >= to);
      ranges.emplace_back(begin, begin + bytes);
    }
  }
  arena.reset();
  auto* first = arena.take<float>(1000);
  arena.reset();
  EXPECT_EQ(arena.take<float>(1000), first);  // no allocation any more
}

TEST(Buffer, IsZeroedAndRefusesTheImpossible) {
  for (std::size_t bytes : {1UL, 4096UL, 5UL << 20}) {
    cpu::Buffer buffer(bytes);
    for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(buffer.data()[i], std::byte{0});
  }
  EXPECT_THROW(cpu::Buffer(std::size_t{1} << 60), common::Error);
}

TEST(Half, ConvertsEveryBitPatternAsTheCompilerDoes) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    auto half = static_cast<std::uint16_t>(bits);
    _Float16 reference;
    std::memcpy(&reference, &half, sizeof(half));
    float expected = static_cast<float>(reference);
    float actual = cpu::f16_to_float(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual)) << bits;
    } else {
      ASSERT_EQ(actual, expected) << bits;
    }
  }
}

TEST(CreateBackend, ListsWhatWouldWorkWhenTheNameIsWrong) {
  try {
    create_backend("tpu", {});
    FAIL();
  } catch (const common::Error& error) {
    EXPECT_EQ(error.code(), common::Code::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("'tpu'"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("auto, cpu"), std::string::npos);
  }
  try {
    create_backend("cpu", {.isa = "sse9"});
    FAIL();
  } catch (const common::Error& error) {
    EXPECT_EQ(error.code(), common::Code::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("plain"), std::string::npos);
  }
}

TEST(CreateBackend, DescribesTheForcedPathAndThreads) {
  EXPECT_EQ(create_backend("cpu", {.threads = 1, .isa = "plain"})->description(), "cpu (plain, 1 thread)");
  EXPECT_EQ(create_backend("auto", {.threads = 3, .isa = "plain"})->description(), "cpu (plain, 3 threads)");
  EXPECT_GE(isa_paths().size(), 1U);
}

class Machinery : public EveryPath {};

TEST_P(Machinery, SaysHowManyBytesTheCachesTake) {
  auto backend = make();
  EXPECT_EQ(backend->kv_block_bytes({3, 10, 16, 2, 256}), 3U * 16 * 2 * 2 * 256 * 4);
  DeltaShape delta{16, 32, 128, 128, 4};
  EXPECT_EQ(backend->state_slot_bytes({5, 9, delta}), 5U * (3 * 8192 + 32 * 128 * 128) * 4);
}

TEST_P(Machinery, CopiesStridedTensorsBothWays) {
  auto backend = make();
  Matrix values = random_matrix(5, 7, 1);
  DeviceTensor whole = zeros(*backend, 8, 20);
  Tensor part = whole.view.columns(3, 7).row_range(2, 5);
  backend->upload(part, values.values.data());
  EXPECT_EQ(get(*backend, part).values, values.values);
  Matrix all = get(*backend, whole.view);
  EXPECT_EQ(all.at(2, 2), 0.0F);
  EXPECT_EQ(all.at(2, 3), values.at(0, 0));
  EXPECT_EQ(all.at(6, 10), 0.0F);
}

TEST_P(Machinery, PacksAnExpertOnAnotherThreadWhileStepsRun) {
  auto backend = make();
  ExpertShape shape{2, 64, 32};
  Stored in = random_stored(32, 64, DType::kBF16, 1);
  Stored down = random_stored(64, 32, DType::kBF16, 2);
  auto packed = backend->allocate_experts(shape);
  backend->pack_expert(*packed, 0, in.view(), in.view(), down.view());
  Matrix x = random_matrix(4, 64, 3);
  DeviceTensor device = put(*backend, x);
  DeviceTensor slots = put_ints(*backend, 1, 1, {0});
  DeviceTensor count = put_ints(*backend, 1, 1, {1});
  DeviceTensor ids = put_ints(*backend, 4, 1, {0, 0, 0, 0});
  DeviceTensor weights = put(*backend, random_matrix(4, 1, 4));
  DeviceTensor out = zeros(*backend, 4, 64);
  auto run = [&] {
    backend->experts(*packed, {slots.view, count.view}, device.view, ids.view, weights.view, out.view);
    return get(*backend, out.view);
  };
  const Matrix expected = run();
  std::atomic<bool> done = false;
  std::thread packer([&] {
    for (int i = 0; i < 50; ++i) backend->pack_expert(*packed, 1, in.view(), in.view(), down.view());
    done = true;
  });
  do {
    EXPECT_EQ(run().values, expected.values);
  } while (!done);
  packer.join();
}

TEST_P(Machinery, GivesTheSameBitsOnAnyNumberOfThreads) {
  Stored weight = random_stored(300, 256, DType::kBF16, 5);
  Matrix x = random_matrix(20, 256, 6);
  std::vector<float> first;
  for (std::int32_t threads : {1, 2, 5}) {
    auto backend = make(threads);
    auto packed = backend->pack_linear(std::vector{weight.view()}, {});
    DeviceTensor out = zeros(*backend, 20, 300);
    backend->linear(*packed, put(*backend, x).view, out.view);
    Matrix got = get(*backend, out.view);
    if (first.empty()) first = got.values;
    EXPECT_EQ(got.values, first);
  }
}

MILLRACE_ON_EVERY_PATH(Machinery);

}  // namespace
}  // namespace millrace::engine::test
