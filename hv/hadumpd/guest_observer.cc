// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/guest_observer.h"

#include <chrono>
#include <utility>

namespace hadump {
namespace {

constexpr std::chrono::seconds kLookEvery{1};

}  // namespace

GuestObserver::GuestObserver(Read read, const Wakeup& wakeup)
    : read_(std::move(read)),
      wakeup_(wakeup),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

GuestObserver::~GuestObserver() {
  thread_.request_stop();
  wake_.notify_all();
}

void GuestObserver::follow(std::map<unsigned, bool> closely) {
  const std::lock_guard lock(mutex_);
  closely_ = std::move(closely);
}

std::uint64_t GuestObserver::ask() {
  const std::lock_guard lock(mutex_);
  asked_ = true;
  wake_.notify_all();
  return begun_ + 1;
}

bool GuestObserver::answered(std::uint64_t ticket) const {
  const std::lock_guard lock(mutex_);
  return ended_ >= ticket;
}

GuestsHeard GuestObserver::heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
}

std::map<unsigned, GuestNews> GuestObserver::look(const std::map<unsigned, bool>& closely, bool all,
                                                  const std::stop_token& stop) const {
  std::map<unsigned, GuestNews> news;
  for (const auto& [domid, close] : closely) {
    if (stop.stop_requested()) break;
    if (auto read = read_(domid, all || close)) news.emplace(domid, std::move(*read));
  }
  return news;
}

void GuestObserver::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, stop, kLookEvery, [this] { return asked_; });
    if (stop.stop_requested()) return;
    const bool asked = std::exchange(asked_, false);
    ++begun_;
    try {
      const std::map<unsigned, bool> closely = closely_;
      lock.unlock();
      std::map<unsigned, GuestNews> news = look(closely, asked, stop);
      lock.lock();
      if (news != heard_.news || asked) wakeup_.notify();
      heard_ = {std::move(news), begun_};
    } catch (...) {  // what was read before is still there
      if (!lock.owns_lock()) lock.lock();
    }
    ended_ = begun_;
  }
}

}  // namespace hadump
