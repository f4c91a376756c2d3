// How two ranks recognise each other before any data flows. Fixed-size messages; the shared secret proves itself in
// both directions by HMAC-SHA256 over both nonces and never travels:
//   dialer -> acceptor   Hello   who I am, of which group, and a nonce
//   acceptor -> dialer   Answer  welcome or why not, a nonce, and a proof over the Hello
//   dialer -> acceptor   Proof
//   acceptor -> dialer   Verdict one byte, as in Answer
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "engine/comm/comm.h"

namespace millrace::engine {

// Each pair of ranks has two connections: one for data, one that only carries signs of life.
enum class Channel : std::uint8_t { kData, kPulse };
constexpr int kChannels = 2;

enum class Verdict : std::uint8_t { kWelcome, kNotOurProtocol, kOtherGeneration, kOtherGroup, kOtherSecret };
std::string to_string(Verdict verdict);

using Nonce = std::array<std::byte, 32>;
using Mac = std::array<std::byte, 32>;

struct Hello {
  static constexpr std::size_t kSize = 64;
  std::uint64_t generation = 0;
  std::uint32_t rank = 0;
  std::uint32_t size = 0;
  Channel channel = Channel::kData;
  Nonce nonce{};
};

struct Answer {
  static constexpr std::size_t kSize = 80;
  Verdict verdict = Verdict::kWelcome;
  std::uint64_t generation = 0;  // the acceptor's, for the message of a refusal
  Nonce nonce{};
  Mac proof{};
};

using HelloBytes = std::array<std::byte, Hello::kSize>;
using AnswerBytes = std::array<std::byte, Answer::kSize>;

Nonce make_nonce();

HelloBytes encode(const Hello& hello);
// Empty verdict kWelcome only when the message is one; kNotOurProtocol otherwise.
Verdict decode(const HelloBytes& bytes, Hello& hello);
AnswerBytes encode(const Answer& answer);
// False when it is no Answer.
bool decode(const AnswerBytes& bytes, Answer& answer);

// What the acceptor says to a Hello: kWelcome, or why the dialer cannot belong to this group.
Verdict judge(const Hello& hello, const TcpCommOptions& options);

enum class Side : std::uint8_t { kDialer, kAcceptor };
Mac make_proof(const std::string& secret, Side side, const HelloBytes& hello, const Nonce& acceptor_nonce);
bool same_proof(const Mac& a, const Mac& b);  // in constant time

}  // namespace millrace::engine
