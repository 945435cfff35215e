// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>

namespace hadump {

/// fork() for what outlives us: QEMU and hotplug scripts, which libxl starts. The child has no
/// signal blocked, since libxl could not end it otherwise, and is not protected from the
/// out-of-memory killer, which hadumpd is and a guest's QEMU must not be. It is in the mount and
/// network namespaces of process 1, as far as we may enter those. Seccomp filters and dropped
/// capabilities cannot be taken back: hadumpd.service says what libxl's children need.
/// The child may open handles of the Xen libraries and make hypercalls, whatever other threads do
/// (handle_list.h).
///
/// Threads: any.
pid_t fork_clean_child();

}  // namespace hadump
