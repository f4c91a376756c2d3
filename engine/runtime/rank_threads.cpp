#include "engine/runtime/rank_threads.h"

#include "common/error.h"

namespace millrace::engine {
namespace {

std::string message_of(const std::exception_ptr& error) {
  if (!error) return {};
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  }
}

}  // namespace

RankThreads::RankThreads(std::vector<std::unique_ptr<Comm>> comms, std::int64_t drawable_vocab)
    : comms_(std::move(comms)), drawable_vocab_(drawable_vocab) {}

RankThreads::~RankThreads() {
  join();
}

void RankThreads::start(const EngineOptions& options, const Duty& duty) {
  for (auto& comm : comms_) {
    threads_.emplace_back([this, &comm = *comm, options, duty] { run(comm, options, duty); });
  }
}

void RankThreads::run(Comm& comm, const EngineOptions& options, const Duty& duty) {
  try {
    Worker worker(options, drawable_vocab_, static_cast<int>(comms_.size()), comm);
    comm.barrier();
    if (duty.prepare) duty.prepare(worker);
    mark_ready();
    duty.serve(worker);
  } catch (const std::exception&) {
    record_failure(std::current_exception());
  }
}

void RankThreads::mark_ready() {
  const std::lock_guard lock(mutex_);
  ++num_ready_;
  changed_.notify_all();
}

void RankThreads::wait_ready() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return failure_ || num_ready_ == comms_.size(); });
  if (failure_) std::rethrow_exception(failure_);
}

void RankThreads::record_failure(std::exception_ptr error) {
  const std::string reason = message_of(error);
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(error);
    changed_.notify_all();
  }
  abort(reason);
}

void RankThreads::abort(const std::string& reason) {
  for (auto& comm : comms_) comm->abort(reason);
}

void RankThreads::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::exception_ptr RankThreads::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace millrace::engine
