// Signs of life between ranks, on connections and a thread of their own, so that a dead or silent peer is noticed while
// operations run, while none runs, and while this rank's thread is busy computing.
#pragma once

#include <thread>
#include <vector>

#include "engine/comm/group_failure.h"
#include "engine/comm/mesh.h"

namespace millrace::engine {

class Pulse {
 public:
  // All references outlive the pulse. `names`: how messages call each rank.
  Pulse(int rank, const Mesh& mesh, const std::vector<std::string>& names, Clock::duration liveness,
        GroupFailure& failure);
  // Tells the others that this rank leaves, or why it failed.
  ~Pulse();

 private:
  struct Peer {
    int rank = 0;
    int fd = -1;
    Clock::time_point heard;      // last sign of life
    std::vector<std::byte> text;  // of a failure that is arriving
    bool listening = true;        // until it leaves or fails
  };

  void run();
  void wait();
  void beat();
  void listen(Peer& peer);
  void take(Peer& peer, std::span<const std::byte> bytes);
  void check_silence();
  void spread_failure();
  void broadcast(std::span<const std::byte> bytes);

  const std::vector<std::string>& names_;
  int rank_;
  Clock::duration liveness_;
  GroupFailure& failure_;
  std::vector<Peer> peers_;
  Clock::time_point next_beat_;
  bool woken_ = false;  // by a failure, once
  bool failure_spread_ = false;
  Socket stop_;  // an eventfd: readable when the thread must end
  std::thread thread_;
};

}  // namespace millrace::engine
