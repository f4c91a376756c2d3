// Where the weights of a model come from: a checkpoint, or a generator.
#pragma once

#include <memory>

#include "engine/backend/tensor.h"
#include "engine/model/tensors.h"

namespace millrace::engine {

// A whole tensor as a matrix (see matrix_rows). `storage` keeps memory that is not mapped alive.
struct HostWeight {
  HostMatrix matrix;
  std::shared_ptr<const void> storage;  // type-erased owner; empty for mapped memory
};

struct ExpertWeight {
  HostWeight gate;  // (intermediate, hidden)
  HostWeight up;    // (intermediate, hidden)
  HostWeight down;  // (hidden, intermediate)
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Any tensor but the fused experts. Any thread.
  virtual HostWeight tensor(const TensorSpec& spec) const = 0;
  virtual ExpertWeight expert(std::int64_t layer, std::int32_t expert) const = 0;
  // The caller is done with the weight for now; mapped pages may go.
  virtual void drop(const HostWeight& weight) const = 0;
};

}  // namespace millrace::engine
