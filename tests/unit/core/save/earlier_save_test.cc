// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/earlier_save.h"

#include <gmock/gmock.h>

namespace hadump {
namespace {

// However a user names it: as the target, as the partial file, or as the journal.
TEST(JournalOf, IsBesideTheTargetWhateverIsNamed) {
  for (const char* named : {"/d/vmcore", "/d/vmcore-incomplete", "/d/vmcore-incomplete.12",
                            "/d/.vmcore.hadump-journal"})
    EXPECT_EQ(journal_of(named), "/d/.vmcore.hadump-journal") << named;
  EXPECT_THAT(journal_of("vmcore"), testing::EndsWith("/.vmcore.hadump-journal"));
}

TEST(JournalOf, LooksAtTheEndOfTheFileNameOnly) {
  EXPECT_EQ(journal_of("/old-incomplete/vmcore"), "/old-incomplete/.vmcore.hadump-journal");
  EXPECT_EQ(journal_of("/old-incomplete/vmcore-incomplete"),
            "/old-incomplete/.vmcore.hadump-journal");
  EXPECT_EQ(journal_of("/d/some-incomplete-ones"), "/d/.some-incomplete-ones.hadump-journal");
  EXPECT_EQ(journal_of("/d/x-incomplete.gz"), "/d/.x-incomplete.gz.hadump-journal");
}

}  // namespace
}  // namespace hadump
