// SPDX-License-Identifier: GPL-2.0-or-later
// Writes a made-up waiting dump for a QEMU guest: save.bin, which belongs to the save area's
// address, and all of the guest's memory if that is asked for.
#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "tests/guest/fake_dump.h"

namespace po = boost::program_options;
using hadump::ByteRange;

namespace {

/// "BEGIN-END", hexadecimal, END excluded.
ByteRange parse_range(const std::string& text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string::npos) throw po::error("not a range: " + text);
  return {std::stoull(text.substr(0, dash), nullptr, 16),
          std::stoull(text.substr(dash + 1), nullptr, 16)};
}

std::vector<ByteRange> parse_ranges(const po::variables_map& vm, const char* name) {
  std::vector<ByteRange> ranges;
  if (vm.count(name) > 0)
    for (const std::string& text : vm[name].as<std::vector<std::string>>())
      ranges.push_back(parse_range(text));
  return ranges;
}

std::vector<std::byte> parse_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

void write_file(const std::string& path, const std::vector<std::byte>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw po::error("cannot write " + path);
}

/// Sparse, everything at its guest-physical address: every held page stamped with its address. A
/// piece at a time: half a GiB of new pages takes longer than writing them.
void write_memory(const std::string& path, const std::vector<ByteRange>& held,
                  std::uint64_t save_area, const std::vector<std::byte>& saved) {
  std::ofstream file(path, std::ios::binary);
  const auto put = [&](std::uint64_t address, const std::byte* bytes, std::uint64_t length) {
    file.seekp(static_cast<std::streamoff>(address));
    file.write(reinterpret_cast<const char*>(bytes), static_cast<std::streamsize>(length));
  };
  std::vector<std::byte> piece(1 << 20);
  for (const ByteRange& r : held)
    for (std::uint64_t begin = r.begin; begin < r.end; begin += piece.size()) {
      const std::uint64_t length = std::min<std::uint64_t>(piece.size(), r.end - begin);
      for (std::uint64_t offset = 0; offset < length; offset += 4096)
        hadump::stamp_page(piece.data() + offset, begin + offset);
      put(begin, piece.data(), length);
    }
  put(save_area, saved.data(), saved.size());
  if (!file.flush()) throw po::error("cannot write " + path);
}

void change_tree(std::vector<std::byte>& tree, const po::variables_map& vm) {
  if (vm.count("drop") > 0)
    for (const std::string& name : vm["drop"].as<std::vector<std::string>>())
      if (!hadump::drop_property(tree, name)) throw po::error("cannot drop " + name);
  if (vm.count("set") > 0)
    for (const std::string& text : vm["set"].as<std::vector<std::string>>()) {
      const std::size_t equals = text.find('=');
      if (equals == std::string::npos ||
          !hadump::set_property(tree, text.substr(0, equals), parse_hex(text.substr(equals + 1))))
        throw po::error("cannot set " + text);
    }
}

}  // namespace

int main(int argc, char** argv) try {
  using Strings = std::vector<std::string>;
  // clang-format off
  po::options_description describe("make_dump_node; ranges are BEGIN-END in hex, END excluded");
  describe.add_options()
      ("help", "this text")
      ("save-area", po::value<std::string>()->required(), "range")
      ("boot-region", po::value<Strings>()->required(), "range; repeat")
      ("held", po::value<Strings>()->required(), "range; repeat")
      ("hole", po::value<Strings>(), "range; repeat")
      ("released", po::value<Strings>(), "range; repeat")
      ("mode", po::value<std::string>()->default_value("added"), "added or registered")
      ("drop", po::value<Strings>(), "leave out this property")
      ("set", po::value<Strings>(), "NAME=HEX: give this property another value")
      ("incomplete", "the save header does not say complete")
      ("memory", po::value<std::string>(), "write the guest's memory to this file")
      ("output", po::value<std::string>()->required(), "directory for save.bin");
  // clang-format on
  po::variables_map vm;
  po::store(po::parse_command_line(argc, argv, describe), vm);
  if (vm.count("help") > 0) {
    std::cout << describe;
    return 0;
  }
  po::notify(vm);

  hadump::FakeDump dump;
  dump.mode = vm["mode"].as<std::string>();
  dump.save_area = parse_range(vm["save-area"].as<std::string>());
  dump.boot_regions = parse_ranges(vm, "boot-region");
  dump.held = parse_ranges(vm, "held");
  dump.holes = parse_ranges(vm, "hole");
  dump.released = parse_ranges(vm, "released");
  dump.complete = vm.count("incomplete") == 0;
  std::vector<std::byte> tree = hadump::build_tree(dump);
  change_tree(tree, vm);

  const std::vector<std::byte> saved = hadump::build_save_area(dump, tree);
  write_file(vm["output"].as<std::string>() + "/save.bin", saved);
  if (vm.count("memory") > 0)
    write_memory(vm["memory"].as<std::string>(), dump.held, dump.save_area.begin, saved);
  return 0;
} catch (const std::exception& e) {
  std::cerr << "make_dump_node: " << e.what() << '\n';
  return 1;
}
