#include "userspace/signal_stop.h"

#include <pthread.h>

#include <ctime>

namespace hadump {

SignalStop::SignalStop() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  waiter_ = std::thread([this] { wait_for_signals(); });
}

void SignalStop::wait_for_signals() {
  // Wakes up now and then because sigtimedwait() cannot be told that the program is over.
  constexpr timespec kStep{0, 100'000'000};
  while (!done_) {
    const int number = sigtimedwait(&signals_, nullptr, &kStep);
    if (number < 0) continue;
    if (!requested_.exchange(true)) continue;
    // Asked twice: the user does not want to wait for the portion. Held memory stays held.
    std::signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
    raise(number);
  }
}

SignalStop::~SignalStop() {
  done_ = true;
  waiter_.join();
}

}  // namespace hadump
