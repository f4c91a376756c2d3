// tokenizer.json, then a zero byte, then text to encode. If the JSON part starts with '+', the rest of it is a merge
// patch onto a small valid file, so that mutations also reach what lies behind the first checks.
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/detokenizer.h"
#include "engine/text/splitter.h"
#include "engine/text/utf8.h"
#include "engine/tokenizer.h"
#include "tests/fuzz/fuzz_check.h"

namespace millrace::engine {
namespace {

using fuzz::check;
using nlohmann::json;

constexpr std::size_t kMaxText = 512;  // a hostile split pattern may be slow, and that is not what is looked for

json base_document() {
  json vocab;
  for (int byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(byte_symbol(static_cast<unsigned char>(byte)), symbol);
    vocab[symbol] = byte;
  }
  vocab["ab"] = 256;
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", Splitter::kQwen35Pattern}}}, {"behavior", "Isolated"}};
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return {{"added_tokens", {{{"id", 257}, {"content", "<|im_end|>"}, {"special", true}}}},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b"}}}}};
}

std::string document_of(std::string_view input) {
  if (!input.starts_with('+')) return std::string(input);
  const json patch = json::parse(input.substr(1), nullptr, false);
  if (patch.is_discarded()) return std::string(input);
  static const json kBase = base_document();
  json document = kBase;
  document.merge_patch(patch);
  return document.dump();
}

void exercise(const Tokenizer& tokenizer, const std::string& text) {
  for (const bool special : {false, true}) {
    const std::vector<TokenId> ids = tokenizer.encode(text, special);
    for (const TokenId id : ids) check(tokenizer.has_token(id), "encode gives ids that have a token");
    Detokenizer stream(tokenizer, special);
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.push(id);
    streamed += stream.flush();
    check(streamed == tokenizer.decode(ids, special), "streamed text equals decoded text");
    check(is_valid_utf8(streamed), "decoded text is UTF-8");
  }
}

}  // namespace
}  // namespace millrace::engine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::engine;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = std::min(input.find('\0'), input.size());
  const std::string text(input.substr(std::min(zero + 1, input.size())).substr(0, kMaxText));
  try {
    TokenizerFiles files;
    files.tokenizer_json = document_of(input.substr(0, zero));
    exercise(Tokenizer::parse(files), text);
  } catch (const millrace::common::Error&) {
    // refused with a message
  }
  return 0;
}
