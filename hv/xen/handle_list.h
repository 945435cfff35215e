// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <mutex>

namespace hadump {

/// Held by whoever opens or closes a handle of any Xen library, for as long as that changes
/// xentoolcore's list of the process's handles.
///
/// The list has a lock of its own, which fork() copies as it is (handlereg.c; Xen 4.17 to 4.20): a
/// child that is made while another thread opens or closes a handle waits forever as soon as it
/// opens one itself. libxl's child that destroys a domain does that (libxl__destroy_domid()): the
/// domain stays, and whoever destroys it waits. So this program has functions of the names of
/// xentoolcore's own, which every Xen library calls then: they take this lock, and call those.
///
/// Lock it around fork(), and unlock it in the parent and in the child.
std::mutex& handle_list_mutex();

}  // namespace hadump
