// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "hv/domain/domain.h"
#include "hv/xen/handles.h"

namespace hadump {

/// What libxc says of a domain, in our words.
DomainStatus status_of(const xc_dominfo_t& info);

/// All domains but dom0. @return kOs when Xen does not answer.
Result<std::vector<DomainStatus>> list_domains(xc_interface* control);

}  // namespace hadump
