#include "tests/fuzz/corpus.h"

namespace hadump {
namespace {

INSTANTIATE_TEST_SUITE_P(Vmcore, FuzzCorpus,
                         testing::Values(&kFuzzElf, &kFuzzVmcoreinfo, &kFuzzKdump, &kFuzzPages,
                                         &kFuzzLog),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace hadump
