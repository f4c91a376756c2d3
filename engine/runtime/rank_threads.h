// The ranks of this process, one thread each: every thread loads its worker, meets the whole group, then does its duty.
// The first error of any of them ends all: the communicators are aborted so that nobody, here or in another process,
// waits for ever.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/options.h"
#include "engine/runtime/worker.h"

namespace millrace::engine {

class RankThreads {
 public:
  // Called on the rank's thread once all ranks of the group are loaded: first `prepare`, then, after wait_ready() may
  // return, `serve`.
  struct Duty {
    std::function<void(Worker&)> prepare;
    std::function<void(Worker&)> serve;
  };

  RankThreads(std::vector<std::unique_ptr<Comm>> comms, std::int64_t drawable_vocab);
  ~RankThreads();  // joins; abort() first to stop ranks that wait
  RankThreads(const RankThreads&) = delete;
  RankThreads& operator=(const RankThreads&) = delete;

  void start(const EngineOptions& options, const Duty& duty);
  // Until every rank of this process has prepared; throws what stopped one of them.
  void wait_ready();
  void join();
  void abort(const std::string& reason);

  // The first error of any rank; null while there is none.
  std::exception_ptr failure() const;

 private:
  void run(Comm& comm, const EngineOptions& options, const Duty& duty);
  void mark_ready();
  void record_failure(std::exception_ptr error);

  std::vector<std::unique_ptr<Comm>> comms_;
  std::int64_t drawable_vocab_;
  mutable std::mutex mutex_;  // guards the next two
  std::exception_ptr failure_;
  std::size_t num_ready_ = 0;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::engine
