// SPDX-License-Identifier: GPL-2.0-or-later
// Not in handles.cc, which programs use that are not linked with libxl.
#include "hv/xen/clean_children.h"
#include "hv/xen/handles.h"

namespace hadump {

Result<LibxlHandle> open_libxl(XenLog& log) {
  libxl_ctx* context = nullptr;
  if (libxl_ctx_alloc(&context, LIBXL_VERSION, 0, log.get()) != 0)
    return fail(ErrorCode::kOs, "opening libxl");
  // libxl waits for children of its own, domain destruction among them. In its default mode a
  // context waits for any child of the process, and takes another context's: whoever is waiting for
  // that one waits forever (libxl_event.h, "Subprocess handling").
  static constexpr libxl_childproc_hooks kOwnChildrenOnly{
      .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
      .fork_replacement = [](void*) { return fork_clean_child(); },
      .reaped_callback = nullptr};
  libxl_childproc_setmode(context, &kOwnChildrenOnly, nullptr);
  return LibxlHandle(context);
}

}  // namespace hadump
