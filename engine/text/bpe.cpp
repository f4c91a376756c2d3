#include "engine/text/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

namespace millrace::engine {
namespace {

struct Symbol {
  TokenId id;  // -1 once merged into its left neighbour
  std::int64_t previous, next;
};

struct Candidate {
  std::int32_t rank;
  std::int64_t position;  // of the left symbol
  TokenId left, right;    // to see whether the pair still stands there
  TokenId merged;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

class Merger {
 public:
  Merger(const MergeTable& merges, std::vector<Symbol>& symbols) : merges_(merges), symbols_(symbols) {}

  void run() {
    const auto n = static_cast<std::int64_t>(symbols_.size());
    for (std::int64_t i = 0; i + 1 < n; ++i) consider(i);
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      if (stands(best)) merge(best);
    }
  }

 private:
  Symbol& at(std::int64_t i) { return symbols_[static_cast<std::size_t>(i)]; }

  void consider(std::int64_t left) {
    const std::int64_t right = at(left).next;
    if (right < 0) return;
    if (const MergeTable::Entry* rule = merges_.find(at(left).id, at(right).id)) {
      queue_.push({rule->rank, left, rule->left, rule->right, rule->merged});
    }
  }

  bool stands(const Candidate& c) {
    const Symbol& left = at(c.position);
    return left.id == c.left && left.next >= 0 && at(left.next).id == c.right;
  }

  void merge(const Candidate& c) {
    Symbol& left = at(c.position);
    Symbol& right = at(left.next);
    left.id = c.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = c.position;
    consider(c.position);
    if (left.previous >= 0) consider(left.previous);
  }

  const MergeTable& merges_;
  std::vector<Symbol>& symbols_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace

MergeTable::MergeTable(const std::vector<MergeRule>& rules) : slots_(std::bit_ceil(rules.size() * 2 + 2)) {
  std::int32_t rank = 0;
  for (const MergeRule& rule : rules) {
    std::size_t i = slot(rule.left, rule.right);
    while (slots_[i].left >= 0 && (slots_[i].left != rule.left || slots_[i].right != rule.right)) {
      i = (i + 1) & (slots_.size() - 1);
    }
    slots_[i] = {rule.left, rule.right, rank++, rule.merged};
  }
}

std::size_t MergeTable::slot(TokenId left, TokenId right) const {
  const std::uint64_t key =
      static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> 32) & (slots_.size() - 1);  // Fibonacci hashing
}

const MergeTable::Entry* MergeTable::find(TokenId left, TokenId right) const {
  for (std::size_t i = slot(left, right); slots_[i].left >= 0; i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].left == left && slots_[i].right == right) return &slots_[i];
  }
  return nullptr;
}

void Bpe::encode(std::string_view word, std::vector<TokenId>& out) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  const auto n = static_cast<std::int64_t>(word.size());
  for (std::int64_t i = 0; i < n; ++i) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(word[static_cast<std::size_t>(i)])];
    symbols.push_back({id, i - 1, i + 1 < n ? i + 1 : -1});
  }
  Merger(merges_, symbols).run();
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) out.push_back(symbol.id);
  }
}

}  // namespace millrace::engine
