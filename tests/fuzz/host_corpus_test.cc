// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/corpus.h"

namespace hadump {
namespace {

INSTANTIATE_TEST_SUITE_P(Host, FuzzCorpus,
                         testing::Values(&kFuzzAnswer, &kFuzzPolicies, &kFuzzRecord,
                                         &kFuzzCaptureFacts, &kFuzzCaptureRecord, &kFuzzPageList,
                                         &kFuzzRewrite, &kFuzzHvmContext),
                         [](const auto& chosen) { return std::string(chosen.param->name); });

}  // namespace
}  // namespace hadump
