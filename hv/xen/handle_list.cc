// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/handle_list.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace hadump {
namespace {

// Made before main(): who makes a static variable at its first use holds a lock as well, which
// fork() would copy. No recursive mutex: the child is another thread, and could not unlock it.
constinit std::mutex libraries;
constinit thread_local unsigned held = 0;

// The library's own, which comes after ours in the order in which names are looked up.
template <typename Function>
Function* next_of(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    static_cast<void>(std::fprintf(stderr, "the Xen libraries have no %s\n", name));
    std::abort();  // no handle can be opened without it
  }
  return reinterpret_cast<Function*>(found);
}

}  // namespace

XenLibrariesHeld::XenLibrariesHeld() {
  if (held++ == 0) libraries.lock();
}

XenLibrariesHeld::~XenLibrariesHeld() {
  if (--held == 0) libraries.unlock();
}

}  // namespace hadump

// The lock comes first, also before the static variables. The headers of these two are not
// installed, or need a type of their own: a handle is a Xentoolcore__Active_Handle*
// (xentoolcore_internal.h) or a xencall_handle* (xencall.h).
extern "C" {

#define HADUMP_EXPORTED [[gnu::visibility("default")]]
HADUMP_EXPORTED void xentoolcore__register_active_handle(void* handle);
HADUMP_EXPORTED void xentoolcore__deregister_active_handle(void* handle);
HADUMP_EXPORTED void* xencall_alloc_buffer_pages(void* handle, std::size_t pages);
HADUMP_EXPORTED void xencall_free_buffer_pages(void* handle, void* buffer, std::size_t pages);
HADUMP_EXPORTED int xencall_close(void* handle);
#undef HADUMP_EXPORTED

void xentoolcore__register_active_handle(void* handle) {
  const hadump::XenLibrariesHeld libraries;
  static const auto next = hadump::next_of<void(void*)>("xentoolcore__register_active_handle");
  next(handle);
}

void xentoolcore__deregister_active_handle(void* handle) {
  const hadump::XenLibrariesHeld libraries;
  static const auto next = hadump::next_of<void(void*)>("xentoolcore__deregister_active_handle");
  next(handle);
}

// xencall_alloc_buffer() and xencall_free_buffer() call these.
void* xencall_alloc_buffer_pages(void* handle, std::size_t pages) {
  const hadump::XenLibrariesHeld libraries;
  static const auto next = hadump::next_of<void*(void*, std::size_t)>("xencall_alloc_buffer_pages");
  return next(handle, pages);
}

void xencall_free_buffer_pages(void* handle, void* buffer, std::size_t pages) {
  const hadump::XenLibrariesHeld libraries;
  static const auto next =
      hadump::next_of<void(void*, void*, std::size_t)>("xencall_free_buffer_pages");
  next(handle, buffer, pages);
}

// Gives the cache's buffers back.
int xencall_close(void* handle) {
  const hadump::XenLibrariesHeld libraries;
  static const auto next = hadump::next_of<int(void*)>("xencall_close");
  return next(handle);
}
}
