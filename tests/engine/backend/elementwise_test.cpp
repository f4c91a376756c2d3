#include "tests/engine/backend/fixture.h"

namespace millrace::engine::test {
namespace {

Matrix normed(const Matrix& x, const Matrix& weight, double eps) {
  Matrix out(x.rows, x.cols);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    double squares = 0.0;
    for (std::int64_t c = 0; c < x.cols; ++c) squares += static_cast<double>(x.at(t, c)) * x.at(t, c);
    double scale = 1.0 / std::sqrt(squares / static_cast<double>(x.cols) + eps);
    for (std::int64_t c = 0; c < x.cols; ++c) out.at(t, c) = static_cast<float>(x.at(t, c) * scale * weight.at(0, c));
  }
  return out;
}

class Elementwise : public EveryPath {
 protected:
  std::unique_ptr<Backend> backend_ = make();
};

constexpr std::int64_t kWidths[] = {1, 7, 16, 33, 128, 1024, 5120};
constexpr std::int64_t kRows[] = {1, 3, 16, 65};

TEST_P(Elementwise, RmsNormFollowsTheFormula) {
  for (std::int64_t cols : kWidths) {
    for (std::int64_t rows : kRows) {
      Matrix x = random_matrix(rows, cols, 1, 3.0F);
      Matrix weight = random_matrix(1, cols, 2);
      DeviceTensor out = zeros(*backend_, rows, cols, 3);
      backend_->rms_norm(put(*backend_, x, 1).view, put(*backend_, weight).view, 1e-6F, out.view);
      expect_close(get(*backend_, out.view), normed(x, weight, 1e-6), 2e-6);
    }
  }
}

TEST_P(Elementwise, RmsNormOfTinyValuesIsHeldByEps) {
  Matrix x = random_matrix(2, 64, 3, 1e-6F);
  Matrix weight = random_matrix(1, 64, 4);
  DeviceTensor out = zeros(*backend_, 2, 64);
  backend_->rms_norm(put(*backend_, x).view, put(*backend_, weight).view, 1e-6F, out.view);
  expect_close(get(*backend_, out.view), normed(x, weight, 1e-6), 2e-6);
}

TEST_P(Elementwise, AddRmsNormUpdatesTheResidualAndNormsIt) {
  for (std::int64_t cols : kWidths) {
    Matrix residual = random_matrix(5, cols, 5);
    Matrix delta = random_matrix(5, cols, 6);
    Matrix weight = random_matrix(1, cols, 7);
    Matrix sum = residual;
    for (std::size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += delta.values[i];
    DeviceTensor on_device = put(*backend_, residual, 2);
    DeviceTensor out = zeros(*backend_, 5, cols);
    backend_->add_rms_norm(on_device.view, put(*backend_, delta, 1).view, put(*backend_, weight).view, 1e-6F, out.view);
    EXPECT_EQ(get(*backend_, on_device.view).values, sum.values);
    expect_close(get(*backend_, out.view), normed(sum, weight, 1e-6), 2e-6);
  }
}

TEST_P(Elementwise, AddAddsInPlace) {
  Matrix residual = random_matrix(9, 77, 8);
  Matrix delta = random_matrix(9, 77, 9);
  DeviceTensor on_device = put(*backend_, residual, 2);
  backend_->add(on_device.view, put(*backend_, delta, 1).view);
  for (std::size_t i = 0; i < residual.values.size(); ++i) residual.values[i] += delta.values[i];
  EXPECT_EQ(get(*backend_, on_device.view).values, residual.values);
}

TEST_P(Elementwise, SiluMulGatesTheSecondHalfByTheFirst) {
  for (std::int64_t width : kWidths) {
    Matrix x = random_matrix(4, 2 * width, 10, 4.0F);
    if (width >= 7) {  // both tails of the exponential
      x.at(0, 0) = 200.0F;
      x.at(0, 1) = -200.0F;
      x.at(0, 2) = -90.0F;
      x.at(0, 3) = 88.8F;
    }
    Matrix expected(4, width);
    for (std::int64_t t = 0; t < 4; ++t) {
      for (std::int64_t c = 0; c < width; ++c) {
        expected.at(t, c) = static_cast<float>(silu(x.at(t, c)) * x.at(t, c + width));
      }
    }
    DeviceTensor out = zeros(*backend_, 4, width, 1);
    backend_->silu_mul(put(*backend_, x, 1).view, out.view);
    expect_close(get(*backend_, out.view), expected, 2e-6);
  }
}

TEST_P(Elementwise, AddSigmoidGatedScalesEachRowByItsGate) {
  Matrix x = random_matrix(6, 50, 11);
  Matrix gate = random_matrix(6, 1, 12, 5.0F);
  Matrix out = random_matrix(6, 50, 13);
  DeviceTensor on_device = put(*backend_, out, 1);
  backend_->add_sigmoid_gated(put(*backend_, x, 3).view, put(*backend_, gate, 4).view, on_device.view);
  for (std::int64_t t = 0; t < 6; ++t) {
    for (std::int64_t c = 0; c < 50; ++c) {
      out.at(t, c) = static_cast<float>(out.at(t, c) + sigmoid(gate.at(t, 0)) * x.at(t, c));
    }
  }
  expect_close(get(*backend_, on_device.view), out, 2e-6);
}

TEST_P(Elementwise, GatedRmsNormNormsEachHeadThenGatesIt) {
  for (std::int64_t head : {16, 128}) {
    for (std::int64_t heads : {1, 16, 48}) {
      Matrix x = random_matrix(3, heads * head, 14, 2.0F);
      Matrix z = random_matrix(3, heads * head, 15, 3.0F);
      Matrix weight = random_matrix(1, head, 16);
      Matrix expected(3, heads * head);
      for (std::int64_t t = 0; t < 3; ++t) {
        for (std::int64_t h = 0; h < heads; ++h) {
          Matrix one(1, head);
          for (std::int64_t c = 0; c < head; ++c) one.at(0, c) = x.at(t, h * head + c);
          one = normed(one, weight, 1e-6);
          for (std::int64_t c = 0; c < head; ++c) {
            expected.at(t, h * head + c) = static_cast<float>(one.at(0, c) * silu(z.at(t, h * head + c)));
          }
        }
      }
      DeviceTensor on_device = put(*backend_, x, 1);
      backend_->gated_rms_norm(on_device.view, put(*backend_, z, 2).view, put(*backend_, weight).view, 1e-6F);
      expect_close(get(*backend_, on_device.view), expected, 2e-6);
    }
  }
}

TEST_P(Elementwise, GatherLogitRowsTakesTheListedRows) {
  Matrix x = random_matrix(8, 20, 17);
  StepInputs step;
  step.logit_rows = {0, 3, 7};
  backend_->begin_step(step, nullptr);
  DeviceTensor out = zeros(*backend_, 3, 20, 1);
  backend_->gather_logit_rows(put(*backend_, x, 2).view, out.view);
  backend_->finish_step();
  Matrix got = get(*backend_, out.view);
  for (std::int64_t c = 0; c < 20; ++c) {
    EXPECT_EQ(got.at(0, c), x.at(0, c));
    EXPECT_EQ(got.at(1, c), x.at(3, c));
    EXPECT_EQ(got.at(2, c), x.at(7, c));
  }
}

MILLRACE_ON_EVERY_PATH(Elementwise);

}  // namespace
}  // namespace millrace::engine::test
