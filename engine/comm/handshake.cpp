#include "engine/comm/handshake.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/error.h"

namespace millrace::engine {
namespace {

constexpr std::uint64_t kMagic = 0x314D4D4F43524C4DU;  // "MLRCOMM1"

// Little-endian fields one after the other in a fixed buffer.
class Writer {
 public:
  explicit Writer(std::span<std::byte> to) : to_(to) {}

  void number(std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) to_[at_++] = static_cast<std::byte>(value >> (8 * i));
  }
  void block(std::span<const std::byte> value) {
    std::copy(value.begin(), value.end(), to_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ += value.size();
  }

 private:
  std::span<std::byte> to_;
  std::size_t at_ = 0;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> from) : from_(from) {}

  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value |= std::to_integer<std::uint64_t>(from_[at_++]) << (8 * i);
    return value;
  }
  void block(std::span<std::byte> value) {
    std::copy_n(from_.begin() + static_cast<std::ptrdiff_t>(at_), value.size(), value.begin());
    at_ += value.size();
  }

 private:
  std::span<const std::byte> from_;
  std::size_t at_ = 0;
};

}  // namespace

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kWelcome:
      return "welcome";
    case Verdict::kNotOurProtocol:
      return "it does not speak the protocol of this version";
    case Verdict::kOtherGeneration:
      return "it has another generation";
    case Verdict::kOtherGroup:
      return "it has another size or rank";
    case Verdict::kOtherSecret:
      return "it has another secret";
  }
  return "";
}

Nonce make_nonce() {
  Nonce nonce;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(nonce.data()), static_cast<int>(nonce.size())) != 1) {
    throw common::Error(common::Code::kInternal, "the system has no random numbers");
  }
  return nonce;
}

HelloBytes encode(const Hello& hello) {
  HelloBytes bytes{};
  Writer writer(bytes);
  writer.number(kMagic, 8);
  writer.number(hello.generation, 8);
  writer.number(hello.rank, 4);
  writer.number(hello.size, 4);
  writer.number(static_cast<std::uint64_t>(hello.channel), 8);
  writer.block(hello.nonce);
  return bytes;
}

Verdict decode(const HelloBytes& bytes, Hello& hello) {
  Reader reader(bytes);
  if (reader.number(8) != kMagic) return Verdict::kNotOurProtocol;
  hello.generation = reader.number(8);
  hello.rank = static_cast<std::uint32_t>(reader.number(4));
  hello.size = static_cast<std::uint32_t>(reader.number(4));
  const std::uint64_t channel = reader.number(8);
  if (channel >= kChannels) return Verdict::kNotOurProtocol;
  hello.channel = static_cast<Channel>(channel);
  reader.block(hello.nonce);
  return Verdict::kWelcome;
}

AnswerBytes encode(const Answer& answer) {
  AnswerBytes bytes{};
  Writer writer(bytes);
  writer.number(static_cast<std::uint64_t>(answer.verdict), 8);
  writer.number(answer.generation, 8);
  writer.block(answer.nonce);
  writer.block(answer.proof);
  return bytes;
}

bool decode(const AnswerBytes& bytes, Answer& answer) {
  Reader reader(bytes);
  const std::uint64_t verdict = reader.number(8);
  if (verdict > static_cast<std::uint64_t>(Verdict::kOtherSecret)) return false;
  answer.verdict = static_cast<Verdict>(verdict);
  answer.generation = reader.number(8);
  reader.block(answer.nonce);
  reader.block(answer.proof);
  return true;
}

Verdict judge(const Hello& hello, const TcpCommOptions& options) {
  if (hello.generation != options.generation) return Verdict::kOtherGeneration;
  const bool dials_down =
      hello.rank > static_cast<std::uint32_t>(options.rank) && hello.rank < options.endpoints.size();
  if (hello.size != options.endpoints.size() || !dials_down) return Verdict::kOtherGroup;
  return Verdict::kWelcome;
}

Mac make_proof(const std::string& secret, Side side, const HelloBytes& hello, const Nonce& acceptor_nonce) {
  std::vector<std::byte> text{static_cast<std::byte>(side)};
  text.insert(text.end(), hello.begin(), hello.end());
  text.insert(text.end(), acceptor_nonce.begin(), acceptor_nonce.end());
  Mac mac{};
  unsigned int size = 0;
  // An empty key must still be a valid pointer.
  HMAC(EVP_sha256(), secret.c_str(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), reinterpret_cast<unsigned char*>(mac.data()),
       &size);
  return mac;
}

bool same_proof(const Mac& a, const Mac& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace millrace::engine
