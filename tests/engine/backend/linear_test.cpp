#include "tests/engine/backend/fixture.h"

namespace millrace::engine::test {
namespace {

Matrix product(const Matrix& x, const std::vector<Matrix>& parts, const std::vector<float>& bias) {
  std::int64_t out_features = 0;
  for (const Matrix& part : parts) out_features += part.rows;
  Matrix out(x.rows, out_features);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    std::int64_t o = 0;
    for (const Matrix& part : parts) {
      for (std::int64_t r = 0; r < part.rows; ++r, ++o) {
        double sum = bias.empty() ? 0.0 : bias[static_cast<std::size_t>(o)];
        for (std::int64_t c = 0; c < x.cols; ++c) sum += static_cast<double>(x.at(t, c)) * part.at(r, c);
        out.at(t, o) = static_cast<float>(sum);
      }
    }
  }
  return out;
}

class Linear : public EveryPath {};

TEST_P(Linear, MultipliesEveryNumberOfRows) {
  auto backend = make();
  const Stored weight = random_stored(83, 192, DType::kBF16, 1);
  auto packed = backend->pack_linear(std::vector{weight.view()}, {});
  for (std::int64_t rows : {1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 15, 16, 17, 24, 31, 33, 63, 64, 65, 127, 130}) {
    Matrix x = random_matrix(rows, 192, 2);
    DeviceTensor out = zeros(*backend, rows, 83, 5);
    backend->linear(*packed, put(*backend, x, 3).view, out.view);
    expect_close(get(*backend, out.view), product(x, {weight.exact}, {}), 1e-5, std::to_string(rows) + " rows");
  }
}

TEST_P(Linear, KeepsEveryStoredTypeAndOddShapes) {
  auto backend = make();
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (auto [out_features, in_features] :
         {std::pair{1, 1}, {15, 3}, {16, 16}, {17, 33}, {33, 511}, {48, 1025}, {2, 2048}}) {
      Stored weight = random_stored(out_features, in_features, dtype, 3);
      auto packed = backend->pack_linear(std::vector{weight.view()}, {});
      EXPECT_EQ(packed->out_features(), out_features);
      EXPECT_EQ(packed->in_features(), in_features);
      for (std::int64_t rows : {1, 3, 18}) {
        Matrix x = random_matrix(rows, in_features, 4);
        DeviceTensor out = zeros(*backend, rows, out_features, 1);
        backend->linear(*packed, put(*backend, x, 1).view, out.view);
        expect_close(get(*backend, out.view), product(x, {weight.exact}, {}), 1e-5);
      }
    }
  }
}

TEST_P(Linear, KeepsSubnormalAndExtremeHalves) {
  auto backend = make();
  Matrix values(2, 4);
  values.values = {6e-8F, -6e-5F, 65504.0F, 0.0F, -1.5F, 6.1e-5F, 3e-6F, -65504.0F};
  Stored weight = stored(values, DType::kF16);
  auto packed = backend->pack_linear(std::vector{weight.view()}, {});
  for (std::int64_t c = 0; c < 4; ++c) {
    Matrix x(1, 4);
    x.at(0, c) = 1.0F;
    DeviceTensor out = zeros(*backend, 1, 2);
    backend->linear(*packed, put(*backend, x).view, out.view);
    Matrix y = get(*backend, out.view);
    EXPECT_EQ(y.at(0, 0), weight.exact.at(0, c));
    EXPECT_EQ(y.at(0, 1), weight.exact.at(1, c));
  }
}

TEST_P(Linear, StacksPartsAndAddsTheBias) {
  auto backend = make();
  Stored a = random_stored(5, 64, DType::kBF16, 5);
  Stored b = random_stored(30, 64, DType::kBF16, 6);
  Stored c = random_stored(9, 64, DType::kF32, 7);
  Matrix bias = random_matrix(1, 44, 8);
  auto packed = backend->pack_linear(std::vector{a.view(), b.view(), c.view()}, bias.values);
  for (std::int64_t rows : {1, 6, 40}) {
    Matrix x = random_matrix(rows, 64, 9);
    DeviceTensor out = zeros(*backend, rows, 44);
    backend->linear(*packed, put(*backend, x).view, out.view);
    expect_close(get(*backend, out.view), product(x, {a.exact, b.exact, c.exact}, bias.values), 1e-5);
  }
}

TEST_P(Linear, ReadsStridedCheckpointRows) {
  auto backend = make();
  Stored whole = random_stored(6, 40, DType::kBF16, 10);
  HostMatrix slice{whole.bytes.data() + 8 * 2, DType::kBF16, 6, 20, 40};  // columns 8..27
  auto packed = backend->pack_linear(std::vector{slice}, {});
  Matrix x = random_matrix(2, 20, 11);
  Matrix expected(6, 20);
  for (std::int64_t r = 0; r < 6; ++r) {
    for (std::int64_t c = 0; c < 20; ++c) expected.at(r, c) = whole.exact.at(r, c + 8);
  }
  DeviceTensor out = zeros(*backend, 2, 6);
  backend->linear(*packed, put(*backend, x).view, out.view);
  expect_close(get(*backend, out.view), product(x, {expected}, {}), 1e-5);
}

TEST_P(Linear, GivesARowTheSameBitsInEveryBatch) {
  auto backend = make();
  Stored weight = random_stored(70, 1300, DType::kBF16, 12);
  auto packed = backend->pack_linear(std::vector{weight.view()}, {});
  Matrix x = random_matrix(67, 1300, 13);
  DeviceTensor in = put(*backend, x);
  DeviceTensor all = zeros(*backend, 67, 70);
  backend->linear(*packed, in.view, all.view);
  for (std::int64_t count : {1, 2, 5, 16, 31}) {
    DeviceTensor some = zeros(*backend, count, 70);
    backend->linear(*packed, in.view.row_range(9, count), some.view);
    EXPECT_EQ(get(*backend, some.view).values, get(*backend, all.view.row_range(9, count)).values) << count << " rows";
  }
}

TEST_P(Linear, ComputesTheProjectionsOfEveryFamilyMember) {
  auto backend = make();
  // A few rows at the real depths: hidden sizes and intermediate sizes of the eight models and QwQ-32B.
  for (std::int64_t in_features : {1024, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 8192, 9216, 12288, 17408, 27648}) {
    Stored weight = random_stored(20, in_features, DType::kBF16, 14);
    auto fast = backend->pack_linear(std::vector{weight.view()}, {});
    Matrix x = random_matrix(3, in_features, 15);
    DeviceTensor out = zeros(*backend, 3, 20);
    backend->linear(*fast, put(*backend, x).view, out.view);
    expect_close(get(*backend, out.view), product(x, {weight.exact}, {}), 1e-5, std::to_string(in_features));
  }
}

TEST_P(Linear, EmbedsRowsOfThisRankAndZeroElsewhere) {
  auto backend = make();
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    Stored table = random_stored(37, 65, dtype, 16);
    auto packed = backend->pack_linear(std::vector{table.view()}, {});
    StepInputs step;
    step.token_ids = {100, 136, 99, 137, 117, 0};
    backend->begin_step(step, nullptr);
    DeviceTensor out = zeros(*backend, 6, 65, 2);
    backend->embed(*packed, 100, out.view);
    backend->finish_step();
    Matrix got = get(*backend, out.view);
    for (std::int64_t c = 0; c < 65; ++c) {
      EXPECT_EQ(got.at(0, c), table.exact.at(0, c));
      EXPECT_EQ(got.at(1, c), table.exact.at(36, c));
      EXPECT_EQ(got.at(4, c), table.exact.at(17, c));
      for (std::int64_t t : {2, 3, 5}) EXPECT_EQ(got.at(t, c), 0.0F);
    }
  }
}

MILLRACE_ON_EVERY_PATH(Linear);

}  // namespace
}  // namespace millrace::engine::test
