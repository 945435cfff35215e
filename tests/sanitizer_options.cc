// SPDX-License-Identifier: GPL-2.0-or-later
// Linked to every sanitized test program. ASAN_OPTIONS in the environment goes before this.

// AddressSanitizer's defaults suit programs that live long. A test that starts a saver's threads
// for each portion and forks for each kill spends half its time in page faults and TLB flushes for
// them: shadow memory that is mapped anew for each large block, and 256 MiB of freed memory that
// each child copies page by page. What was freed is still watched until 8 MiB more have been.
extern "C" const char* __asan_default_options() {
  return "clear_shadow_mmap_threshold=16777216:allocator_release_to_os_interval_ms=-1:quarantine_"
         "size_mb=8:"
         "malloc_context_size=8";
}
