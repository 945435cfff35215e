// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/save_program.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "core/dump/file_sink.h"
#include "userspace/cli/json_log.h"
#include "userspace/cli/log_file.h"
#include "userspace/cli/vmcoreinfo_option.h"

namespace hadump {
namespace {

// Messages go to stderr, and to the file when one is named.
std::shared_ptr<spdlog::logger> make_log(const std::string& who, const SaveCommandLine& command) {
  auto log = std::make_shared<spdlog::logger>("save");
  log->sinks().push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // With JSON, whoever reads stderr finds one object in every line.
  if (command.progress == ProgressMode::kJson)
    log->sinks().back()->set_formatter(json_log_formatter());
  else
    log->sinks().back()->set_pattern(who + ": %v");
  if (!command.log_to.empty()) {
    log->sinks().push_back(open_log_file(command.log_to));
    log->sinks().back()->set_pattern("%Y-%m-%dT%H:%M:%S %l: %v");
  }
  log->flush_on(spdlog::level::info);
  return log;
}

}  // namespace

SaveProgram::SaveProgram(const std::string& who, const SaveCommandLine& command, Streams io)
    : log_(make_log(who, command)),
      vmcoreinfo_(command.vmcoreinfo),
      replaces_(command.save.force),
      io_(io) {}

SaveSeams SaveProgram::file_seams() const {
  SaveSeams seams;
  seams.cancelled = [this] { return stop_.requested(); };
  seams.open_vmcore = [this](const std::vector<std::string>& paths) {
    return open_dump(paths, vmcoreinfo_);
  };
  seams.open_sink = [replaces = replaces_](const HeldFile& file, const std::string& partial) {
    return partial.empty() ? open_file_sink(file, {.replaces = replaces})
                           : reopen_file_sink(partial, file);
  };
  return seams;
}

}  // namespace hadump
