// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hadump {

/// A parser under fuzz: takes any bytes, must neither crash nor hang nor use much memory, and
/// checks what the parser promises of its output.
struct FuzzTarget {
  const char* name;
  void (*run)(std::span<const std::byte> input);
  /// The corpus as recipes: well-formed inputs that reach deep, made rather than stored.
  std::vector<std::vector<std::byte>> (*seeds)();
};

/// ELF headers and notes, and reading through them.
extern const FuzzTarget kFuzzElf;
/// VMCOREINFO text: the parser and everything that is derived from it.
extern const FuzzTarget kFuzzVmcoreinfo;
/// kdump-compressed files, flattened too.
extern const FuzzTarget kFuzzKdump;
/// The records of a flattened file, and reading through them.
extern const FuzzTarget kFuzzFlattened;
/// Struct pages: classes of a machine whose page array is the input.
extern const FuzzTarget kFuzzPages;
/// The printk ring of a machine.
extern const FuzzTarget kFuzzLog;
/// Page tables, section tables and the kernel's names: words of a machine, changed one by one.
extern const FuzzTarget kFuzzMachine;

/// What a guest writes into xenstore: registration and progress. Lines KEY=VALUE.
extern const FuzzTarget kFuzzXenstore;
/// The flattened tree of a dump node.
extern const FuzzTarget kFuzzNode;
/// A save area that a guest has forged: header and small sections, with checksums that fit.
extern const FuzzTarget kFuzzSaveArea;
/// A VMCOREINFO note in guest memory.
extern const FuzzTarget kFuzzNote;
/// A guest's page tables.
extern const FuzzTarget kFuzzTables;
/// Kernel files, ELF and bzImage.
extern const FuzzTarget kFuzzKernel;
extern const FuzzTarget kFuzzAcpi;

/// What hadumpd answers to hadump.
extern const FuzzTarget kFuzzAnswer;
/// hadumpd.conf.
extern const FuzzTarget kFuzzPolicies;
/// hadumpd's record of a domain.
extern const FuzzTarget kFuzzRecord;
/// hadumpd's record of a capture.
extern const FuzzTarget kFuzzCaptureFacts;
extern const FuzzTarget kFuzzPageList;
extern const FuzzTarget kFuzzCaptureRecord;
/// hadumpd's copy of what it was about to write into a save area.
extern const FuzzTarget kFuzzRewrite;
/// A domain's HVM context, and the one that it is started with again.
extern const FuzzTarget kFuzzHvmContext;

/// The module's reader of a dump node.
extern const FuzzTarget kFuzzModuleNode;
extern const FuzzTarget kFuzzReleaseText;

/// The journal of a save that did not end.
extern const FuzzTarget kFuzzJournal;
/// The module's list of regions.
extern const FuzzTarget kFuzzRegions;
/// What the peer of a stream acknowledges.
extern const FuzzTarget kFuzzAcks;
/// The list of saves that have been begun.
extern const FuzzTarget kFuzzRegistry;
/// Names of dumps' directories.
extern const FuzzTarget kFuzzDumpName;
/// What a user writes after --to.
extern const FuzzTarget kFuzzTargetName;
/// The journal of an earlier save, and the files that it names.
extern const FuzzTarget kFuzzEarlierSaves;
/// The dump node, as the saver reads it.
extern const FuzzTarget kFuzzWaitingDump;
/// The check of a dump's tables, one part or two.
extern const FuzzTarget kFuzzTableCheck;

/// What a guest says in a stream, and what its host answers.
extern const FuzzTarget kFuzzStream;
extern const FuzzTarget kFuzzStreamReplies;

/// Ends the process with a message: a promise was broken.
void fuzz_require(bool holds, const char* promise);

/// Bytes of text, for seeds.
std::vector<std::byte> bytes_of_text(const std::string& text);

}  // namespace hadump
