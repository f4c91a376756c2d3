// The experts that one rank holds, layer by layer, and the maps from logical experts to their slots.
//
// A layer has a few more slots than the placement needs, so that experts that a new placement brings can be read into
// slots that no map in use names, while steps run; switching then only replaces the maps. What a placement no longer
// needs stays until its slot is wanted. A layer that gets more new experts than it has free slots is packed anew beside
// the old one.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/weight_source.h"

namespace millrace::engine {

class ExpertStore {
 public:
  // Reads the experts of the initial, linear placement. `source` and `backend` outlive the store. `on_expert`: once per
  // expert read. A rank has `redundant_slots` more than the experts of a layer need.
  ExpertStore(const WeightSource& source, const ModelConfig& config, const RankLayout& layout,
              std::int32_t redundant_slots, Backend& backend, const std::function<void()>& on_expert);

  const ExpertPlacement& placement() const { return placement_; }
  const PackedExperts& packed(std::int64_t layer) const { return *layers_[static_cast<std::size_t>(layer)].packed; }
  ExpertMap map(std::int64_t layer) const;
  std::size_t bytes() const;
  std::int64_t expert_bytes() const { return expert_bytes_; }  // of a whole one in one layer, as stored
  std::int64_t experts_read() const { return experts_read_; }  // since the start, the initial ones included

  void prepare(const ExpertPlacement& next, ExpertPace& pace);  // any thread; see Model::prepare_placement
  void commit();                                                // see Model::commit_placement

 private:
  static constexpr std::int32_t kEmpty = -1;

  struct Layer {
    std::unique_ptr<PackedExperts> packed;
    std::vector<std::int32_t> expert_in;  // by physical slot; kEmpty
  };
  struct Prepared {
    ExpertPlacement placement;
    std::vector<std::optional<Layer>> replaced;  // by layer
  };
  struct Maps {
    DeviceTensor slots;
    DeviceTensor count;
  };

  Layer allocate_layer() const;
  void read_into(Layer& layer, std::int64_t index, std::int32_t slot, std::int32_t expert);
  std::optional<Layer> prepare_layer(std::int64_t index, const ExpertPlacement& next, ExpertPace& pace);
  Maps build_maps(std::int64_t index) const;
  void build_all_maps();

  const WeightSource& source_;
  const ModelConfig& config_;
  const RankLayout& layout_;
  Backend& backend_;
  std::int32_t physical_slots_ = 0;
  std::int64_t expert_bytes_ = 0;
  ExpertPlacement placement_;
  std::mutex mutex_;  // prepare against commit; maps_ and packed pointers belong to the rank's thread
  std::vector<Layer> layers_;
  std::vector<Maps> maps_;
  std::optional<Prepared> prepared_;
  std::int64_t experts_read_ = 0;
};

}  // namespace millrace::engine
