#include "engine/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "common/error.h"
#include "engine/text/utf8.h"

namespace millrace::engine {
namespace {

constexpr std::uint32_t kFirstCombining = 0x300;  // every character below is its own NFC and composes only with marks

// True for characters that normalisation leaves alone whatever stands next to them.
bool is_inert(std::uint32_t code_point) {
  if (code_point < kFirstCombining) return true;
  if (code_point >= 0x1100 && code_point <= 0x11FF) return false;  // Hangul jamo compose by arithmetic, not by table
  const utf8proc_property_t* p = utf8proc_get_property(static_cast<utf8proc_int32_t>(code_point));
  return p->combining_class == 0 && p->decomp_seqindex == UINT16_MAX && p->comb_index == UINT16_MAX;
}

bool is_inert(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0xCC) {  // lead bytes below U+0300
      ++i;
      continue;
    }
    const Utf8Char c = decode_utf8(text.substr(i));
    if (!is_inert(c.code_point)) return false;
    i += c.length;
  }
  return true;
}

int combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

std::vector<utf8proc_int32_t> decompose(std::string_view text) {
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size() + 4);
  utf8proc_int32_t buffer[32];  // the longest canonical decomposition has four code points
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    text.remove_prefix(c.length);
    int boundary = 0;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code_point), buffer, 32,
                                           static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE), &boundary);
    if (n < 0 || n > 32) throw common::Error(common::Code::kInternal, "text cannot be normalised");
    points.insert(points.end(), buffer, buffer + n);
  }
  return points;
}

// Canonical order: each run of combining marks sorted by class, stably. (utf8proc's own sort is quadratic.)
void order_marks(std::vector<utf8proc_int32_t>& points) {
  const auto is_mark = [](utf8proc_int32_t p) { return combining_class(p) != 0; };
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if(begin, points.end(), is_mark);
    const auto end = std::find_if_not(begin, points.end(), is_mark);
    std::stable_sort(begin, end, [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

}  // namespace

CharClass char_class(std::uint32_t code_point) {
  switch (code_point) {
    case '\r':
    case '\n':
      return CharClass::kNewline;
    case '\t':
    case '\v':
    case '\f':
    case 0x85:
      return CharClass::kSpace;
  }
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return CharClass::kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::kSpace;
    default:
      return CharClass::kOther;
  }
}

std::string to_nfc(std::string_view text) {
  if (is_inert(text)) return std::string(text);
  std::vector<utf8proc_int32_t> points = decompose(text);
  order_marks(points);
  const auto n = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                          static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  if (n < 0) throw common::Error(common::Code::kInternal, "text cannot be normalised");
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    append_utf8(static_cast<std::uint32_t>(points[static_cast<std::size_t>(i)]), out);
  }
  return out;
}

}  // namespace millrace::engine
