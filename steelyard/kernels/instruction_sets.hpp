// The instruction sets that the sources are compiled for, and which of them run here.

#pragma once

#include "loss_work.hpp"
#include "mlp.hpp"

namespace steelyard {

struct InstructionSet {
  const char* name;
  bool runs_here;
  Train* train;
  Plan* softmax_plan;
  Run* softmax_run;
  Plan* sigmoid_plan;
  Run* sigmoid_run;
};

// Best first; the last is the baseline and runs everywhere.
extern const InstructionSet* instruction_sets(int* count);

// The one of this name, or the best where it is null; null where this processor does not have it.
extern const InstructionSet* instruction_set(const char* name);

}  // namespace steelyard
