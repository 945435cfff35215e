// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace hadump {

/// Held by whoever is inside the parts of the Xen libraries that have a lock for the whole process:
/// xentoolcore's list of handles, and xencall's cache of buffers, from which every hypercall takes
/// some.
///
/// fork() copies such a lock as it is (handlereg.c, call/buffer.c; Xen 4.17 to 4.20): a child that
/// is made while another thread holds it waits forever as soon as it opens a handle, or makes a
/// hypercall. libxl's child that destroys a domain does both (libxl__destroy_domid()): the domain
/// stays, and whoever destroys it waits. So this program has functions of the names of the
/// libraries' own, which every Xen library calls then: they hold this, and call those.
///
/// Hold it around fork(), and end it in the parent and in the child. A thread may hold it twice:
/// the libraries' functions call each other.
class XenLibrariesHeld {
 public:
  XenLibrariesHeld();
  ~XenLibrariesHeld();
  XenLibrariesHeld(const XenLibrariesHeld&) = delete;
  XenLibrariesHeld& operator=(const XenLibrariesHeld&) = delete;
};

}  // namespace hadump
