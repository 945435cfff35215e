// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "hv/hadumpd/caretaker.h"
#include "hv/hadumpd/guest_observer.h"
#include "hv/hadumpd/status_server.h"

namespace hadump {

/// What hadump(8) may ask. Never waits: an answer that is not there yet is given at a later call.
///
///     {"command": "list"}                    {"ok": true, "domains": […], "captures": […],
///                                             "streams": […]}
///     {"command": "trigger", "domid": 3}     {"ok": true, "job": 17}
///     {"command": "capture", "domid": 3, "mode": "copy", "to": "/…", "format": "kdump",
///      "compress": "lzo", "dump_level": "31", "restart": false}
///                                            {"ok": true, "job": 17, "name": "web-2026…"}
///     {"command": "discard", "name": "web-2026…"}
///                                            {"ok": true, "job": 17}
///     {"command": "captures"}                {"ok": true, "captures": […]}
///     {"command": "job", "job": 17}          {"ok": true, "over": true, "what": "…", "error": "…"}
///
/// With `"again": true`, a trigger does not make a domain crash that runs.
/// A refusal is {"ok": false, "error": "…"}. Of a job, `error` is there when it is over and failed.
///
/// Threads: the event loop's. Everything is borrowed.
class Requests {
 public:
  Requests(Caretaker& caretaker, Jobs& jobs, GuestObserver& guests, const StreamKeeper& streams)
      : caretaker_(caretaker), jobs_(jobs), guests_(guests), streams_(streams) {}

  std::optional<std::string> answer(StatusServer::Query& query);

 private:
  std::optional<std::string> list(StatusServer::Query& query);
  std::optional<std::string> trigger(unsigned domid, bool again, const StatusServer::Query& query);
  std::optional<std::string> capture(unsigned domid, const CaptureOrder& order,
                                     const StatusServer::Query& query);
  std::string discard(const std::string& name);
  std::string job(JobNumber number) const;

  Caretaker& caretaker_;
  Jobs& jobs_;
  GuestObserver& guests_;
  const StreamKeeper& streams_;
};

}  // namespace hadump
