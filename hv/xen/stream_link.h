// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/base/error.h"
#include "core/stream/channel.h"
#include "hv/domain/domain.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Connects to a channel that a guest offers (docs/spec/stream.md), with handles of its own. Waits
/// for xenstored.
/// @param log  must outlive the channel.
/// @return kOs when what the guest has written leads nowhere, or devices are missing here.
Result<std::unique_ptr<ByteChannel>> connect_stream(XenLog& log, unsigned domid, unsigned slot);

/// The channels that a guest offers: as keys, the numbers of slots; as values, the ids. What is no
/// id is left out.
/// @param store  borrowed.
GuestNews read_stream_offers(xs_handle* store, unsigned domid);

}  // namespace hadump
