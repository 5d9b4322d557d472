#include "instruction_sets.hpp"

#include <string.h>

namespace steelyard {

#define ENTRIES(set) train_##set, softmax_plan_##set, softmax_run_##set, sigmoid_plan_##set, sigmoid_run_##set

const InstructionSet* instruction_sets(int* count) {
#if defined(STEELYARD_X86)
  static const bool asked = (__builtin_cpu_init(), true);
  (void)asked;
#endif
  static const InstructionSet found[] = {
#if defined(STEELYARD_X86)
      {"avx512",
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"),
       ENTRIES(avx512)},
      {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), ENTRIES(avx2)},
#endif
      {"baseline", true, ENTRIES(baseline)},
  };
  *count = static_cast<int>(sizeof found / sizeof found[0]);
  return found;
}

const InstructionSet* instruction_set(const char* name) {
  int count = 0;
  const InstructionSet* const found = instruction_sets(&count);
  for (int i = 0; i < count; ++i)
    if (found[i].runs_here && (name == nullptr || strcmp(name, found[i].name) == 0)) return found + i;
  return nullptr;
}

}  // namespace steelyard
