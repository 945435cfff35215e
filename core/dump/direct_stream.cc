#include "core/dump/data_stream.h"

namespace hadump {

std::unique_ptr<DataStream> open_direct_stream(int /*fd*/, std::string /*name*/) { return nullptr; }

}  // namespace hadump
