#include "engine/text/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "engine/text/splitter.h"
#include "engine/text/vocabulary_sax.h"

namespace millrace::engine {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw common::Error(common::Code::kInvalidArgument, file + ": " + what);
}

// The field, or null when it is absent.
const json& field(const json& object, const char* name) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto it = object.find(name);
  return it == object.end() ? kNull : *it;
}

std::string type_of(const json& object) {
  const json& type = field(object, "type");
  return type.is_string() ? type.get<std::string>() : "";
}

[[noreturn]] void unsupported(const std::string& where, const json& value, const std::string& accepted) {
  fail("tokenizer.json",
       where + " is " + value.dump(-1, ' ', false, json::error_handler_t::replace) + "; accepted: " + accepted);
}

bool reads_as_false(const json& value) {
  return value.is_null() || value == false;
}

bool read_normalizer(const json& normalizer) {
  if (normalizer.is_null()) return false;
  if (type_of(normalizer) != "NFC") unsupported("normalizer", normalizer, "null, {\"type\": \"NFC\"}");
  return true;
}

void check_byte_level(const std::string& where, const json& step) {
  if (type_of(step) != "ByteLevel") unsupported(where, step, "{\"type\": \"ByteLevel\"}");
  if (!reads_as_false(field(step, "add_prefix_space"))) {
    unsupported(where + ".add_prefix_space", field(step, "add_prefix_space"), "false");
  }
}

std::string read_split(const std::string& where, const json& step) {
  if (type_of(step) != "Split") unsupported(where, step, "{\"type\": \"Split\", \"pattern\": {\"Regex\": ...}}");
  const json& regex = field(field(step, "pattern"), "Regex");
  if (!regex.is_string()) unsupported(where + ".pattern", field(step, "pattern"), "{\"Regex\": \"...\"}");
  if (field(step, "behavior") != "Isolated") unsupported(where + ".behavior", field(step, "behavior"), "\"Isolated\"");
  if (!reads_as_false(field(step, "invert"))) unsupported(where + ".invert", field(step, "invert"), "false");
  return regex.get<std::string>();
}

// Either [Split, ByteLevel without regex] or ByteLevel with its own regex (the default of use_regex is true).
std::string read_pre_tokenizer(const json& pre) {
  if (type_of(pre) != "Sequence") {
    check_byte_level("pre_tokenizer", pre);
    if (field(pre, "use_regex") == false)
      unsupported("pre_tokenizer.use_regex", false, "true, or a Split step before it");
    return Splitter::kGpt2Pattern;
  }
  const json& steps = field(pre, "pretokenizers");
  if (!steps.is_array() || steps.size() != 2) {
    unsupported("pre_tokenizer.pretokenizers", steps, "a Split step followed by a ByteLevel step");
  }
  check_byte_level("pre_tokenizer.pretokenizers[1]", steps[1]);
  if (field(steps[1], "use_regex") != false) {
    unsupported("pre_tokenizer.pretokenizers[1].use_regex", field(steps[1], "use_regex"), "false after a Split step");
  }
  return read_split("pre_tokenizer.pretokenizers[0]", steps[0]);
}

void check_model(const json& model) {
  if (type_of(model) != "BPE") unsupported("model.type", field(model, "type"), "\"BPE\"");
  for (const char* name : {"byte_fallback", "ignore_merges"}) {
    if (!reads_as_false(field(model, name))) unsupported(std::string("model.") + name, field(model, name), "false");
  }
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json& value = field(model, name);
    if (!value.is_null() && value != "") unsupported(std::string("model.") + name, value, "null, \"\"");
  }
  const json& dropout = field(model, "dropout");
  if (!dropout.is_null() && dropout != 0) unsupported("model.dropout", dropout, "null, 0");
}

// A post-processor that adds tokens would be obeyed by HF, so it must not be passed over in silence.
void check_affixes(const json& document) {
  const json& post = field(document, "post_processor");
  if (!post.is_null() && type_of(post) != "ByteLevel")
    unsupported("post_processor", post, "null, {\"type\": \"ByteLevel\"}");
  const json& decoder = field(document, "decoder");
  if (!decoder.is_null() && type_of(decoder) != "ByteLevel")
    unsupported("decoder", decoder, "{\"type\": \"ByteLevel\"}");
}

AddedToken read_added(const std::string& file, const std::string& where, const json& entry, const json& id) {
  if (!id.is_number_integer() || id < 0 || id > kMaxTokenId) {
    fail(file, where + ".id is " + id.dump() + "; accepted: 0 to " + std::to_string(kMaxTokenId));
  }
  const json& content = field(entry, "content");
  if (!content.is_string() || content.get_ref<const std::string&>().empty()) {
    fail(file, where + ".content is missing or not a non-empty string");
  }
  for (const char* name : {"lstrip", "rstrip", "single_word"}) {
    if (!reads_as_false(field(entry, name))) {
      fail(file, where + "." + name + " is " + field(entry, name).dump() + "; accepted: false");
    }
  }
  return {content.get<std::string>(), id.get<TokenId>(), field(entry, "special") == true};
}

void read_added_tokens(const json& document, TokenizerSpec& spec) {
  const json& list = field(document, "added_tokens");
  if (!list.is_null() && !list.is_array()) fail("tokenizer.json", "added_tokens is not an array");
  for (std::size_t i = 0; i < list.size(); ++i) {
    spec.added.push_back(
        read_added("tokenizer.json", "added_tokens[" + std::to_string(i) + "]", list[i], field(list[i], "id")));
  }
}

// Tokens that only tokenizer_config.json lists; where both files list one, the flags of tokenizer.json count.
void merge_config_tokens(const json& config, TokenizerSpec& spec) {
  const std::string file = "tokenizer_config.json";
  const json& decoder = field(config, "added_tokens_decoder");
  if (!decoder.is_null() && !decoder.is_object()) fail(file, "added_tokens_decoder is not an object");
  for (const auto& [key, entry] : decoder.items()) {
    const std::string where = "added_tokens_decoder." + key;
    const json id = json::parse(key, nullptr, false);
    AddedToken token = read_added(file, where, entry, id);
    const auto same_id =
        std::find_if(spec.added.begin(), spec.added.end(), [&](const auto& t) { return t.id == token.id; });
    if (same_id == spec.added.end()) {
      spec.added.push_back(std::move(token));
    } else if (same_id->content != token.content) {
      fail(file,
           where + " is \"" + token.content + "\", but tokenizer.json gives this id to \"" + same_id->content + "\"");
    }
  }
}

void read_eos_ids(const std::string& file, const std::string& where, const json& value, TokenizerSpec& spec) {
  const auto add = [&](const json& id) {
    if (!id.is_number_integer() || id < 0 || id > kMaxTokenId) {
      fail(file, where + " is " + value.dump() + "; accepted: a token id or a list of them");
    }
    spec.eos_ids.push_back(id.get<TokenId>());
  };
  if (value.is_null()) return;
  if (!value.is_array()) return add(value);
  for (const json& id : value) add(id);
}

json parse_small(const std::string& file, const std::string& text) {
  if (text.empty()) return json::object();
  try {
    json document = json::parse(text);
    if (!document.is_object()) fail(file, "not a JSON object");
    return document;
  } catch (const json::exception& e) {
    fail(file, std::string("not JSON: ") + e.what());
  }
}

void read_eos(const TokenizerFiles& files, const json& tokenizer_config, TokenizerSpec& spec) {
  const json& eos = field(tokenizer_config, "eos_token");  // a string, or an added-token object
  const json& text = eos.is_object() ? field(eos, "content") : eos;
  if (text.is_string()) {
    spec.eos_tokens.emplace_back("tokenizer_config.json: eos_token", text.get<std::string>());
  } else if (!text.is_null()) {
    fail("tokenizer_config.json", "eos_token is " + eos.dump() + "; accepted: a token's text");
  }
  const json generation = parse_small("generation_config.json", files.generation_config);
  read_eos_ids("generation_config.json", "eos_token_id", field(generation, "eos_token_id"), spec);
  const json config = parse_small("config.json", files.config);
  read_eos_ids("config.json", "eos_token_id", field(config, "eos_token_id"), spec);
  read_eos_ids("config.json", "text_config.eos_token_id", field(field(config, "text_config"), "eos_token_id"), spec);
}

}  // namespace

TokenizerSpec read_tokenizer_files(const TokenizerFiles& files) {
  TokenizerSpec spec;
  json document;
  VocabularySax sax(spec, document);
  json::sax_parse(files.tokenizer_json, &sax);
  if (!document.is_object()) fail("tokenizer.json", "not a JSON object");
  check_model(field(document, "model"));
  if (spec.vocabulary.empty()) fail("tokenizer.json", "model.vocab is missing or empty");
  check_affixes(document);
  spec.nfc = read_normalizer(field(document, "normalizer"));
  spec.split_pattern = read_pre_tokenizer(field(document, "pre_tokenizer"));
  read_added_tokens(document, spec);
  const json tokenizer_config = parse_small("tokenizer_config.json", files.tokenizer_config);
  merge_config_tokens(tokenizer_config, spec);
  std::sort(spec.added.begin(), spec.added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  read_eos(files, tokenizer_config, spec);
  return spec;
}

}  // namespace millrace::engine
