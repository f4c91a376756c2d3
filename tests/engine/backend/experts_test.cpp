#include <functional>
#include <numeric>

#include "tests/engine/backend/fixture.h"

namespace millrace::engine::test {
namespace {

struct Expert {
  Stored gate, up, down;
};

std::vector<Expert> random_experts(const ExpertShape& shape, DType dtype, std::int64_t count) {
  std::vector<Expert> experts;
  for (std::int64_t e = 0; e < count; ++e) {
    auto seed = static_cast<std::uint64_t>(200 + 3 * e);
    experts.push_back({random_stored(shape.intermediate, shape.hidden, dtype, seed, 0.2F),
                       random_stored(shape.intermediate, shape.hidden, dtype, seed + 1, 0.2F),
                       random_stored(shape.hidden, shape.intermediate, dtype, seed + 2, 0.2F)});
  }
  return experts;
}

std::vector<double> apply(const Expert& expert, const float* x) {
  const Matrix& gate = expert.gate.exact;
  std::vector<double> hidden(static_cast<std::size_t>(gate.rows));
  for (std::int64_t i = 0; i < gate.rows; ++i) {
    double g = 0.0, u = 0.0;
    for (std::int64_t c = 0; c < gate.cols; ++c) {
      g += static_cast<double>(gate.at(i, c)) * x[c];
      u += static_cast<double>(expert.up.exact.at(i, c)) * x[c];
    }
    hidden[static_cast<std::size_t>(i)] = silu(g) * u;
  }
  std::vector<double> out(static_cast<std::size_t>(gate.cols));
  for (std::int64_t c = 0; c < gate.cols; ++c) {
    for (std::int64_t i = 0; i < gate.rows; ++i) {
      out[static_cast<std::size_t>(c)] += expert.down.exact.at(c, i) * hidden[static_cast<std::size_t>(i)];
    }
  }
  return out;
}

struct Routing {
  std::vector<std::int32_t> ids;  // (tokens, k)
  Matrix weights;
};

Routing random_routing(std::int64_t tokens, std::int64_t experts, std::int64_t k, std::uint64_t seed) {
  Routing routing{{}, random_matrix(tokens, k, seed)};
  std::mt19937_64 generator(seed);
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(experts));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), generator);
    routing.ids.insert(routing.ids.end(), order.begin(), order.begin() + k);
  }
  return routing;
}

Matrix expected_output(const std::vector<Expert>& experts, const Matrix& x, const Routing& routing,
                       const std::function<bool(std::int64_t token, std::int32_t expert)>& local) {
  Matrix out(x.rows, x.cols);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    std::vector<double> sum(static_cast<std::size_t>(x.cols));
    for (std::int64_t i = 0; i < routing.weights.cols; ++i) {
      std::int32_t expert = routing.ids[static_cast<std::size_t>(t * routing.weights.cols + i)];
      if (!local(t, expert)) continue;
      std::vector<double> y = apply(experts[static_cast<std::size_t>(expert)], x.row(t));
      for (std::size_t c = 0; c < y.size(); ++c) sum[c] += routing.weights.at(t, i) * y[c];
    }
    for (std::size_t c = 0; c < sum.size(); ++c) out.at(t, static_cast<std::int64_t>(c)) = static_cast<float>(sum[c]);
  }
  return out;
}

class ExpertsOp : public EveryPath {
 protected:
  Matrix run(const PackedExperts& packed, const std::vector<std::int32_t>& slots,
             const std::vector<std::int32_t>& count, const Matrix& x, const Routing& routing) {
    auto experts = static_cast<std::int64_t>(count.size());
    DeviceTensor slot_table = put_ints(*backend_, experts, static_cast<std::int64_t>(slots.size()) / experts, slots);
    DeviceTensor count_table = put_ints(*backend_, experts, 1, count);
    DeviceTensor ids = put_ints(*backend_, x.rows, routing.weights.cols, routing.ids);
    DeviceTensor out = put(*backend_, random_matrix(x.rows, x.cols, 1), 2);  // overwritten
    backend_->experts(packed, {slot_table.view, count_table.view}, put(*backend_, x, 3).view, ids.view,
                      put(*backend_, routing.weights).view, out.view);
    return get(*backend_, out.view);
  }

  std::unique_ptr<PackedExperts> pack(const ExpertShape& shape, const std::vector<Expert>& experts) {
    auto packed = backend_->allocate_experts(shape);
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const Expert& expert = experts[e];
      backend_->pack_expert(*packed, static_cast<std::int64_t>(e), expert.gate.view(), expert.up.view(),
                            expert.down.view());
    }
    return packed;
  }

  std::unique_ptr<Backend> backend_ = make();
};

TEST_P(ExpertsOp, SumsTheChosenExpertsForEveryNumberOfRows) {
  for (auto [hidden, intermediate, dtype] :
       {std::tuple{64, 48, DType::kBF16}, {65, 17, DType::kF32}, {128, 31, DType::kF16}}) {
    ExpertShape shape{8, hidden, intermediate};
    std::vector<Expert> experts = random_experts(shape, dtype, 8);
    auto packed = pack(shape, experts);
    for (std::int64_t tokens : {1, 2, 3, 5, 16, 17, 63, 64, 127}) {
      Matrix x = random_matrix(tokens, hidden, 300);
      Routing routing = random_routing(tokens, 8, 3, 301);
      Matrix got = run(*packed, {0, 1, 2, 3, 4, 5, 6, 7}, std::vector<std::int32_t>(8, 1), x, routing);
      expect_close(got, expected_output(experts, x, routing, [](auto, auto) { return true; }), 1e-5);
    }
  }
}

TEST_P(ExpertsOp, FollowsTheMapOfReplicasAndSkipsRemoteOnes) {
  ExpertShape shape{4, 32, 16};
  std::vector<Expert> experts = random_experts(shape, DType::kBF16, 4);
  auto packed = backend_->allocate_experts(shape);
  // Logical expert 2 stands in slots 0 and 3, expert 0 in slot 1, expert 1 elsewhere, expert 3 here (slot 2) and
  // elsewhere.
  for (auto [slot, expert] : {std::pair{0, 2}, {1, 0}, {2, 3}, {3, 2}}) {
    const Expert& e = experts[static_cast<std::size_t>(expert)];
    backend_->pack_expert(*packed, slot, e.gate.view(), e.up.view(), e.down.view());
  }
  Matrix x = random_matrix(9, 32, 310);
  Routing routing = random_routing(9, 4, 2, 311);
  Matrix got = run(*packed, {1, -1, -1, -1, 0, 3, -1, 2}, {1, 1, 2, 2}, x, routing);
  auto local = [](std::int64_t token, std::int32_t expert) {
    return expert == 0 || expert == 2 || (expert == 3 && token % 2 == 1);
  };
  expect_close(got, expected_output(experts, x, routing, local), 1e-5);
}

TEST_P(ExpertsOp, GivesZeroWhenNoExpertIsLocal) {
  ExpertShape shape{1, 32, 16};
  std::vector<Expert> experts = random_experts(shape, DType::kBF16, 1);
  auto packed = pack(shape, experts);
  Matrix x = random_matrix(3, 32, 320);
  Matrix got = run(*packed, {-1, -1}, {1, 1}, x, random_routing(3, 2, 1, 321));
  EXPECT_EQ(got.values, std::vector<float>(got.values.size(), 0.0F));
}

TEST_P(ExpertsOp, ReplacesASlot) {
  ExpertShape shape{1, 64, 32};
  std::vector<Expert> experts = random_experts(shape, DType::kBF16, 2);
  auto packed = pack(shape, {experts[0]});
  backend_->pack_expert(*packed, 0, experts[1].gate.view(), experts[1].up.view(), experts[1].down.view());
  Matrix x = random_matrix(2, 64, 330);
  Routing routing{{0, 0}, random_matrix(2, 1, 331)};
  expect_close(run(*packed, {0}, {1}, x, routing),
               expected_output({experts[1]}, x, routing, [](auto, auto) { return true; }), 1e-5);
}

TEST_P(ExpertsOp, RoutesToTheBestWithRenormalisedWeights) {
  for (auto [experts, k] : {std::pair{512, 10}, {256, 8}, {16, 4}, {4, 4}, {3, 1}}) {
    Matrix logits = random_matrix(33, experts, 340, 2.0F);
    DeviceTensor ids = backend_->allocate(33, k, DType::kI32);
    DeviceTensor weights = zeros(*backend_, 33, k);
    DeviceTensor counts = backend_->allocate(1, experts, DType::kI32);
    for (int repeat = 0; repeat < 2; ++repeat) {
      backend_->route(put(*backend_, logits, 2).view, ids.view, weights.view, counts.view);
    }
    Matrix got = get(*backend_, weights.view);
    std::vector<std::int32_t> chosen = get_ints(*backend_, ids.view);
    std::vector<std::int32_t> expected_counts(static_cast<std::size_t>(experts), 0);
    for (std::int64_t t = 0; t < 33; ++t) {
      std::vector<std::int32_t> order(static_cast<std::size_t>(experts));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits.at(t, a) > logits.at(t, b); });
      double all = 0.0, best = 0.0;
      for (std::int64_t e = 0; e < experts; ++e) all += std::exp(static_cast<double>(logits.at(t, e)));
      for (std::int64_t i = 0; i < k; ++i)
        best += std::exp(static_cast<double>(logits.at(t, order[static_cast<std::size_t>(i)]))) / all;
      for (std::int64_t i = 0; i < k; ++i) {
        std::int32_t e = order[static_cast<std::size_t>(i)];
        EXPECT_EQ(chosen[static_cast<std::size_t>(t * k + i)], e);
        EXPECT_NEAR(got.at(t, i), std::exp(static_cast<double>(logits.at(t, e))) / all / best, 1e-6);
        expected_counts[static_cast<std::size_t>(e)] += 2;
      }
    }
    EXPECT_EQ(get_ints(*backend_, counts.view), expected_counts);
  }
}

TEST_P(ExpertsOp, BreaksTiesOfTheRouterTowardsTheLowerExpert) {
  Matrix logits(2, 6);
  logits.values = {1, 2, 2, 2, 0, 2, 5, 5, 5, 5, 5, 5};
  DeviceTensor ids = backend_->allocate(2, 3, DType::kI32);
  DeviceTensor weights = zeros(*backend_, 2, 3);
  DeviceTensor counts = backend_->allocate(1, 6, DType::kI32);
  backend_->route(put(*backend_, logits).view, ids.view, weights.view, counts.view);
  EXPECT_EQ(get_ints(*backend_, ids.view), (std::vector<std::int32_t>{1, 2, 3, 0, 1, 2}));
  EXPECT_EQ(get_ints(*backend_, counts.view), (std::vector<std::int32_t>{1, 2, 2, 1, 0, 0}));
}

TEST_P(ExpertsOp, RoutesNanLogitsToValidExperts) {
  Matrix logits(1, 5);
  logits.values.assign(5, std::nanf(""));
  DeviceTensor ids = backend_->allocate(1, 2, DType::kI32);
  DeviceTensor weights = zeros(*backend_, 1, 2);
  DeviceTensor counts = backend_->allocate(1, 5, DType::kI32);
  backend_->route(put(*backend_, logits).view, ids.view, weights.view, counts.view);
  EXPECT_EQ(get_ints(*backend_, ids.view), (std::vector<std::int32_t>{0, 1}));
}

MILLRACE_ON_EVERY_PATH(ExpertsOp);

}  // namespace
}  // namespace millrace::engine::test
