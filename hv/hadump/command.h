// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

enum AdminExit { kAdminOk, kAdminFailed, kAdminUsage, kAdminNoDomain, kAdminNoDaemon };

/// The world of a subcommand.
struct CommandWorld {
  /// Asks hadumpd. @return kNotFound when it does not run, kBusy with its words when it refuses.
  std::function<Result<nlohmann::ordered_json>(const std::string& socket,
                                               const nlohmann::ordered_json& request)>
      ask;
  std::ostream& out;
  std::ostream& errors;
  std::function<std::uint64_t()> now_ms;  ///< milliseconds since 1970
  std::function<void(std::chrono::milliseconds)> sleep;
  bool errors_are_terminal = false;
  /// The memory of a domain, to be read; also by a child of this process.
  std::function<Result<std::unique_ptr<GuestMemory>>(unsigned domid)> memory_of = {};
  /// @return kNotFound when there is no such domain.
  std::function<Result<std::string>(unsigned domid)> uuid_of = {};
};

/// A subcommand whose arguments have been understood. @return the exit code.
using Run = std::function<int(CommandWorld& world)>;

/// One subcommand. A new one is a unit of its own and a row in commands.cc.
struct AdminCommand {
  std::string_view name;
  std::string_view operands;  ///< as in the usage: "[DOMAIN]"
  std::string_view summary;   ///< what it does, as an order; a line or two
  /// Its options.
  std::string (*help)();
  /// @param arguments  without the name. @return kBadData with a sentence on wrong usage.
  Result<Run> (*parse)(const std::vector<std::string>& arguments);
  std::string_view exits;  ///< its exit statuses, for its help
};

std::span<const AdminCommand> commands();

/// What the first words of a command line ask for.
struct Invocation {
  const AdminCommand* command = nullptr;  ///< null: help or version of hadump itself
  bool help = false;
  bool version = false;
  std::vector<std::string> arguments;  ///< of the command
};
Result<Invocation> find_command(const std::vector<std::string>& arguments);

std::string admin_help();
std::string command_help(const AdminCommand& command);

/// Writes "hadump: …" to the errors. @return `code`.
int complain(CommandWorld& world, const std::string& text, AdminExit code);

}  // namespace hadump
