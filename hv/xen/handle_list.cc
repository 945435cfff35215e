// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/handle_list.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace hadump {

std::mutex& handle_list_mutex() {
  static std::mutex mutex;
  return mutex;
}

namespace {

using HandleFunction = void (*)(void* handle);

// xentoolcore's own, which comes after ours in the order in which names are looked up.
HandleFunction next_of(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    static_cast<void>(std::fprintf(stderr, "libxentoolcore has no %s\n", name));
    std::abort();  // no handle can be opened without it
  }
  return reinterpret_cast<HandleFunction>(found);
}

}  // namespace
}  // namespace hadump

// The lock comes first: who makes a static variable holds a lock as well, which fork() would copy.
// Their header is not installed: `handle` is a Xentoolcore__Active_Handle*
// (xentoolcore_internal.h).
extern "C" {

[[gnu::visibility("default")]] void xentoolcore__register_active_handle(void* handle);
[[gnu::visibility("default")]] void xentoolcore__deregister_active_handle(void* handle);

void xentoolcore__register_active_handle(void* handle) {
  const std::lock_guard lock(hadump::handle_list_mutex());
  static const auto next = hadump::next_of("xentoolcore__register_active_handle");
  next(handle);
}

void xentoolcore__deregister_active_handle(void* handle) {
  const std::lock_guard lock(hadump::handle_list_mutex());
  static const auto next = hadump::next_of("xentoolcore__deregister_active_handle");
  next(handle);
}
}
