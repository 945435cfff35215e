// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "core/base/error.h"
#include "hv/rescue/record.h"
#include "hv/rescue/snapshot.h"

namespace hadump {

/// Where a record is written down. What has been written survives the agent's death.
///
/// Implementations: StateDirectory (hv/hadumpd), InMemoryRecordStore (tests/fakes).
class RecordStore {
 public:
  virtual ~RecordStore() = default;
  virtual Result<> save(const DomainRecord& record) = 0;
  virtual Result<> save_rewrite(const DomainRecord& record, const SnapshotRewrite& rewrite) = 0;
  virtual Result<SnapshotRewrite> load_rewrite(const DomainRecord& record) = 0;
};

}  // namespace hadump
