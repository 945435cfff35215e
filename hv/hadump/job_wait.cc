// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/job_wait.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "hv/hadump/answer.h"

namespace hadump {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

// hadumpd answers at once each time.
Result<> wait_for_job(std::uint64_t number, unsigned seconds, const std::string& socket,
                      CommandWorld& world) {
  constexpr milliseconds kAskEvery{200};
  const Json request = {{"command", "job"}, {"job", number}};
  for (milliseconds waited{0};; waited += kAskEvery) {
    auto job = world.ask(socket, request);
    if (!job) return fail(std::move(job));
    if (flag_at(*job, "over")) {
      if (!job->contains("error")) return {};
      return fail(ErrorCode::kOs, text_at(*job, "error"));
    }
    if (waited >= std::chrono::seconds(seconds))
      return fail(
          ErrorCode::kBusy,
          fmt::format("hadumpd is still working on it (job {}, {}); see `hadump status` and "
                      "its log",
                      number, text_at(*job, "what")));
    world.sleep(kAskEvery);
  }
}

}  // namespace hadump
