#include "engine/tokenizer.h"

#include <algorithm>

#include "common/error.h"
#include "common/file.h"
#include "engine/text/added_tokens.h"
#include "engine/text/bpe.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/splitter.h"
#include "engine/text/token_table.h"
#include "engine/text/tokenizer_json.h"
#include "engine/text/unicode.h"
#include "engine/text/utf8.h"
#include "engine/text/word_cache.h"

namespace millrace::engine {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw common::Error(common::Code::kInvalidArgument, what);
}

std::array<TokenId, 256> byte_ids(const TokenTable& table) {
  std::array<TokenId, 256> ids{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(byte_symbol(static_cast<unsigned char>(byte)), symbol);
    const std::optional<TokenId> id = table.find(symbol);
    if (!id) fail("tokenizer.json: model.vocab has no entry \"" + symbol + "\" for byte " + std::to_string(byte));
    ids[byte] = *id;
  }
  return ids;
}

std::vector<MergeRule> merge_rules(const TokenizerSpec& spec, const TokenTable& table) {
  std::vector<MergeRule> rules;
  rules.reserve(spec.merges.size());
  std::string joined;
  const auto resolve = [&](std::string_view spelling) {
    const std::optional<TokenId> id = table.find(spelling);
    if (!id) {
      fail("tokenizer.json: model.merges[" + std::to_string(rules.size()) + "]: \"" + std::string(spelling) +
           "\" is not in model.vocab");
    }
    return *id;
  };
  for (const auto& [left, right] : spec.merges) {
    joined.assign(spec.text(left)).append(spec.text(right));
    rules.push_back({resolve(spec.text(left)), resolve(spec.text(right)), resolve(joined)});
  }
  return rules;
}

std::vector<TokenId> stop_ids_of(const TokenizerSpec& spec, const TokenTable& table) {
  std::vector<TokenId> ids = spec.eos_ids;
  for (const auto& [where, text] : spec.eos_tokens) {
    const std::optional<TokenId> id = table.find(text);
    if (!id) fail(where + " is \"" + text + "\", which is not a token of tokenizer.json");
    ids.push_back(*id);
  }
  for (const char* text : {"<|endoftext|>", "<|im_end|>"}) {
    if (const std::optional<TokenId> id = table.find(text)) ids.push_back(*id);
  }
  if (ids.empty()) {
    fail(
        "tokenizer.json: no token ends a generation; accepted: an added token <|im_end|> or <|endoftext|>, eos_token "
        "in "
        "tokenizer_config.json, or eos_token_id in generation_config.json or config.json");
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string read_if_present(const std::filesystem::path& path) {
  return common::read_file_if_present(path, "tokenizer").value_or("");
}

}  // namespace

struct Tokenizer::Parts {
  explicit Parts(TokenizerSpec s)
      : spec(std::move(s)),
        table(spec),
        bpe(byte_ids(table), merge_rules(spec, table)),
        splitter(spec.split_pattern),
        stop_ids(stop_ids_of(spec, table)) {
    for (const AddedToken& token : spec.added) added.add(token.content, token.id);
    spec.merges = {};  // only needed above; megabytes
    spec.vocabulary = {};
  }

  void encode_ordinary(std::string_view text, std::vector<TokenId>& out) const;
  void encode_word(std::string_view word, std::vector<TokenId>& out) const;

  TokenizerSpec spec;
  TokenTable table;
  Bpe bpe;
  Splitter splitter;
  AddedTokenMatcher added;
  std::vector<TokenId> stop_ids;
  mutable WordCache cache;
};

void Tokenizer::Parts::encode_ordinary(std::string_view text, std::vector<TokenId>& out) const {
  const auto encode_pieces = [&](std::string_view normal) {
    splitter.split(normal, [&](std::string_view word) { encode_word(word, out); });
  };
  if (!spec.nfc) return encode_pieces(text);
  encode_pieces(to_nfc(text));
}

void Tokenizer::Parts::encode_word(std::string_view word, std::vector<TokenId>& out) const {
  if (cache.find(word, out)) return;
  const std::size_t begin = out.size();
  bpe.encode(word, out);
  cache.put(word, out.data() + begin, out.data() + out.size());
}

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  TokenizerFiles files;
  files.tokenizer_json = read_if_present(model_dir / "tokenizer.json");
  if (files.tokenizer_json.empty()) {
    throw common::Error(common::Code::kNotFound, (model_dir / "tokenizer.json").string() + " is missing or empty");
  }
  files.tokenizer_config = read_if_present(model_dir / "tokenizer_config.json");
  files.generation_config = read_if_present(model_dir / "generation_config.json");
  files.config = read_if_present(model_dir / "config.json");
  try {
    return parse(files);
  } catch (const common::Error& e) {
    throw common::Error(e.code(), model_dir.string() + ": " + e.what());
  }
}

Tokenizer Tokenizer::parse(const TokenizerFiles& files) {
  return Tokenizer(std::make_unique<const Parts>(read_tokenizer_files(files)));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool parse_special) const {
  const TextSegment segment{std::string(text), parse_special};
  return encode(std::span(&segment, 1));
}

namespace {

// The joined, valid text of segments, and which stretches of it are trusted.
struct JoinedText {
  explicit JoinedText(std::span<const TextSegment> segments) {
    for (const TextSegment& segment : segments) {
      const std::size_t begin = text.size();
      text += is_valid_utf8(segment.text) ? segment.text : repair_utf8(segment.text);
      if (!segment.trusted) continue;
      if (!trusted.empty() && trusted.back().second == begin) {
        trusted.back().second = text.size();
      } else {
        trusted.emplace_back(begin, text.size());
      }
    }
  }

  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> trusted;
};

}  // namespace

std::vector<TokenId> Tokenizer::encode(std::span<const TextSegment> segments) const {
  const JoinedText joined(segments);
  const std::string_view text = joined.text;
  std::vector<TokenId> out;
  std::size_t done = 0;
  for (const auto& [begin, end] : joined.trusted) {
    std::size_t from = begin;
    while (const auto match = parts_->added.find(text.substr(0, end), from)) {
      parts_->encode_ordinary(text.substr(done, match->begin - done), out);
      out.push_back(match->id);
      done = from = match->end;
    }
  }
  parts_->encode_ordinary(text.substr(done), out);
  return out;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (skip_special_tokens && is_special(id)) continue;
    bytes += token_bytes(id);
  }
  return repair_utf8(bytes);
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  return parts_->table.bytes(id);
}

std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  return parts_->table.find(token);
}

std::string Tokenizer::id_to_token(TokenId id) const {
  return std::string(parts_->table.spelling(id));
}

std::int32_t Tokenizer::size() const {
  return parts_->table.size();
}

bool Tokenizer::has_token(TokenId id) const {
  return parts_->table.has(id);
}

bool Tokenizer::is_special(TokenId id) const {
  return parts_->table.is_special(id);
}

const std::vector<TokenId>& Tokenizer::stop_ids() const {
  return parts_->stop_ids;
}

}  // namespace millrace::engine
