#include "engine/text/word_cache.h"

namespace millrace::engine {

bool WordCache::find(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty() || word.size() > kMaxWordBytes) return false;
  const std::size_t i = std::hash<std::string_view>{}(word) % kSlots;
  const std::lock_guard lock(locks_[i % kLocks]);
  const Slot& slot = slots_[i];
  if (slot.word != word) return false;
  out.insert(out.end(), slot.ids.begin(), slot.ids.end());
  return true;
}

void WordCache::put(std::string_view word, const TokenId* begin, const TokenId* end) {
  if (word.empty() || word.size() > kMaxWordBytes) return;
  const std::size_t i = std::hash<std::string_view>{}(word) % kSlots;
  const std::lock_guard lock(locks_[i % kLocks]);
  slots_[i].word = word;
  slots_[i].ids.assign(begin, end);
}

}  // namespace millrace::engine
