// A loss's numbers, held ready for call after call: see plan.cpp.

#pragma once

#include <nanobind/nanobind.h>

namespace steelyard {

void bind_plan(nanobind::module_& m);

}  // namespace steelyard
