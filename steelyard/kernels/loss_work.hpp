// How a call is cut into blocks, and the entries of each instruction set.

#pragma once

#include "softmax.hpp"

namespace steelyard {

// Blocks depend on the call and the instruction set, never on the number of threads: that keeps results the same.
struct Work {
  int kind;
  int64_t units, per_block, blocks;
  int64_t scratch;  // bytes for one block
  bool past_caches;
};

typedef void Plan(const SteelyardCall&, Work&);
typedef bool Run(const SteelyardCall&, const Work&, int64_t block, double* sum);  // false: no memory

#define STEELYARD_ENTRIES(set)                                                          \
  Plan softmax_plan_##set, sigmoid_plan_##set;                                          \
  Run softmax_run_##set, sigmoid_run_##set;

STEELYARD_ENTRIES(baseline)
STEELYARD_ENTRIES(avx2)
STEELYARD_ENTRIES(avx512)

}  // namespace steelyard
