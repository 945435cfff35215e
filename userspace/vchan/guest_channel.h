// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "core/base/error.h"
#include "core/stream/channel.h"

namespace hadump {

/// Offers this guest's host a channel, and waits until the host has connected. Destroying the
/// channel takes the offer back. The guest grants its own memory: 1 MiB, or 256 KiB if the kernel
/// does not grant as much.
/// @param patience   how long to wait for the host. @param cancelled  asked about once a second.
/// @return kNotFound when this is no Xen guest, or devices are missing, with what to do; kBusy when
///         all slots are taken, or the host does not come; kOs; kCancelled; kUnsupported when the
///         program was built without libxenvchan.
Result<std::unique_ptr<ByteChannel>> open_guest_channel(std::chrono::seconds patience,
                                                        const std::function<bool()>& cancelled);

}  // namespace hadump
