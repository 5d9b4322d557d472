// The calls of softmax.hpp: what is found before the sweep, the instruction set, the threads.

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "instruction_sets.hpp"
#include "loss_work.hpp"

namespace {

using steelyard::Plan;
using steelyard::Run;
using steelyard::Work;

// Logits from which a second thread pays, measured: starting one takes some 20 µs.
constexpr int64_t SHARED = 1 << 18;
constexpr int64_t HUGE_FROM = 8 << 20;

int64_t width(int dtype) { return dtype == STEELYARD_FLOAT64 ? 8 : dtype == STEELYARD_FLOAT32 ? 4 : 2; }

bool sound(const SteelyardCall& c) {
  if (c.size != static_cast<int32_t>(sizeof c) || c.dtype < 0 || c.dtype > 3) return false;
  if (c.batch < 0 || c.classes < 1 || c.positions < 0 || c.classes > INT32_MAX) return false;
  if (c.batch > INT64_MAX / 16 / c.classes) return false;
  if (c.positions > 0 && c.batch * c.classes > INT64_MAX / 16 / c.positions) return false;
  if (c.batch == 0 || c.positions == 0) return true;
  if (!c.logits || !c.target) return false;
  const bool along_classes = c.positions == 1 && (c.stride_class == 1 || c.classes == 1);
  const bool along_positions = c.positions > 1 && c.stride_position == 1;
  if (!along_classes && !along_positions) return false;
  if (c.gradient && (along_classes ? c.gradient_class != 1 && c.classes != 1 : c.gradient_position != 1)) return false;
  return c.target_kind >= STEELYARD_INT64 && c.target_kind <= STEELYARD_DENSE;
}

// Integer targets: whether each is a class, and the sums of the weights. Sums of few terms first, so that a million
// weights add up exactly enough.
template <class T, class Y>
int weigh(SteelyardCall& c) {
  const Y* y = static_cast<const Y*>(c.target);
  const T* w = static_cast<const T*>(c.class_weight);
  const T* s = static_cast<const T*>(c.sample_weight);
  const int64_t n = c.batch * c.positions;
  const Y classes = static_cast<Y>(c.classes);
  if (!s && !c.has_ignore && (!w || c.classes == 2)) {
    // nothing to look up: the largest and smallest, and with two classes how many are the second
    Y low = 0, high = 0, second = 0;
    int64_t ones = 0;
    for (int64_t from = 0; from < n; from += 1 << 20) {
      const int64_t to = from + (1 << 20) < n ? from + (1 << 20) : n;
      second = 0;
      for (int64_t i = from; i < to; ++i) {
        low = y[i] < low ? y[i] : low;
        high = y[i] > high ? y[i] : high;
        second += y[i] & 1;
      }
      ones += second;
    }
    if (low >= 0 && high < classes) {
      c.rows = n;
      c.sum_sample_weight = static_cast<double>(n);
      c.sum_weight = w ? static_cast<double>(n - ones) * static_cast<double>(w[0]) +
                             static_cast<double>(ones) * static_cast<double>(w[1])
                       : static_cast<double>(n);
      return STEELYARD_DONE;
    }
  }
  double total = 0, samples = 0;
  int64_t rows = 0;
  for (int64_t from = 0; from < n; from += 1024) {
    const int64_t to = from + 1024 < n ? from + 1024 : n;
    double part = 0, part_s = 0;
    for (int64_t i = from; i < to; ++i) {
      if (s && !(s[i] >= 0)) {
        c.bad_row = i;
        return STEELYARD_BAD_WEIGHT;
      }
      if (c.has_ignore && y[i] == c.ignore_index) continue;
      if (y[i] < 0 || y[i] >= classes) {
        c.bad_row = i;
        return STEELYARD_BAD_TARGET;
      }
      const double one = s ? static_cast<double>(s[i]) : 1.0;
      part_s += one;
      part += w ? one * static_cast<double>(w[y[i]]) : one;
      ++rows;
    }
    total += part;
    samples += part_s;
  }
  c.rows = rows;
  c.sum_weight = total;
  c.sum_sample_weight = samples;
  return STEELYARD_DONE;
}

float number(const void* at, int64_t i, int dtype) {
  if (dtype == STEELYARD_FLOAT32) return static_cast<const float*>(at)[i];
  const uint16_t h = static_cast<const uint16_t*>(at)[i];
  if (dtype == STEELYARD_BFLOAT16) {
    const uint32_t bits = static_cast<uint32_t>(h) << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
  }
  const uint32_t rest = static_cast<uint32_t>(h & 0x7fff) << 13;
  float x;
  memcpy(&x, &rest, 4);
  return (h & 0x8000 ? -x : x) * 0x1p112f;
}

// Dense targets: Σ s Σ_c t_c w_c. Whether they are weights at all is looked at by the caller, who has a quick minimum.
template <class T>
int weigh_dense(SteelyardCall& c) {
  const T* w = static_cast<const T*>(c.class_weight);
  const T* s = static_cast<const T*>(c.sample_weight);
  const int64_t n = c.batch * c.positions;
  double total = 0, samples = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double one = s ? static_cast<double>(s[i]) : 1.0;
    if (!(one >= 0)) {
      c.bad_row = i;
      return STEELYARD_BAD_WEIGHT;
    }
    double row = 1.0;
    if (w) {
      row = 0;
      const int64_t base = i / c.positions * c.stride_batch + i % c.positions;
      for (int64_t k = 0; k < c.classes; ++k) {
        const int64_t at = base + k * c.stride_class;
        const double t = c.dtype == STEELYARD_FLOAT64 ? static_cast<const double*>(c.target)[at]
                                                      : static_cast<double>(number(c.target, at, c.dtype));
        row += t * static_cast<double>(w[k]);
      }
    }
    samples += one;
    total += one * row;
  }
  c.rows = n;
  c.sum_weight = total;
  c.sum_sample_weight = samples;
  return STEELYARD_DONE;
}

int weigh(SteelyardCall& c) {
  const bool wide = c.dtype == STEELYARD_FLOAT64;
  if (c.target_kind == STEELYARD_DENSE) return wide ? weigh_dense<double>(c) : weigh_dense<float>(c);
  if (c.target_kind == STEELYARD_INT64) return wide ? weigh<double, int64_t>(c) : weigh<float, int64_t>(c);
  return wide ? weigh<double, int32_t>(c) : weigh<float, int32_t>(c);
}

void divide(SteelyardCall& c) {
  switch (c.divide) {
    case STEELYARD_BY_WEIGHT:
      c.denominator = c.sum_weight;
      break;
    case STEELYARD_BY_ROWS:
      c.denominator = static_cast<double>(c.rows);
      break;
    case STEELYARD_BY_SAMPLE_WEIGHT:
      c.denominator = c.sum_sample_weight;
      break;
    default:
      break;
  }
}

// A fresh gradient of many megabytes costs more in page faults than in arithmetic: ask for large pages before it is
// touched. Where they are there already, or may not be had, this does nothing.
void ask_for_huge_pages(const SteelyardCall& c) {
#if defined(MADV_HUGEPAGE)
  const int64_t bytes = c.batch * c.classes * c.positions * width(c.dtype);
  if (!c.gradient || c.gradient == c.logits || bytes < HUGE_FROM) return;
  const uintptr_t from = (reinterpret_cast<uintptr_t>(c.gradient) + 4095) & ~static_cast<uintptr_t>(4095);
  const uintptr_t to = (reinterpret_cast<uintptr_t>(c.gradient) + static_cast<uintptr_t>(bytes)) & ~static_cast<uintptr_t>(4095);
  madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#else
  (void)c;
#endif
}

// All blocks of a call, on so many threads; each block's `wide` sums into its own place, added in their order.
int work_off(SteelyardCall& c, const Work& work, Run* run, int wide, double* totals) {
  constexpr int64_t FEW = 256;
  double few[FEW];
  std::vector<double> many;
  double* sums = few;
  if (work.blocks * wide > FEW) {
    many.resize(static_cast<size_t>(work.blocks * wide));
    sums = many.data();
  }
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  const auto some = [&] {
    for (int64_t b = next.fetch_add(1); b < work.blocks; b = next.fetch_add(1))
      if (!run(c, work, b, sums + b * wide)) failed = true;
  };
  int64_t threads = c.threads < 1 || c.batch * c.classes * c.positions < SHARED ? 1 : c.threads;
  if (threads > work.blocks) threads = work.blocks;
  std::vector<std::thread> others;
  for (int64_t i = 1; i < threads; ++i) {
    try {
      others.emplace_back(some);
    } catch (const std::system_error&) {
      break;  // no more threads to be had: the work is done all the same
    }
  }
  some();
  for (std::thread& t : others) t.join();
  for (int k = 0; k < wide; ++k) totals[k] = 0;
  for (int64_t b = 0; b < work.blocks; ++b)
    for (int k = 0; k < wide; ++k) totals[k] += sums[b * wide + k];
  return failed ? STEELYARD_NO_MEMORY : STEELYARD_DONE;
}

int softmax(SteelyardCall& c, const steelyard::InstructionSet& set) {
  if (c.batch > 0 && c.positions > 0) {
    const int status = weigh(c);
    if (status != STEELYARD_DONE) return status;
  }
  divide(c);
  if (c.batch == 0 || c.positions == 0) return STEELYARD_DONE;
  ask_for_huge_pages(c);
  Work work;
  set.softmax_plan(c, work);
  return work_off(c, work, set.softmax_run, 1, &c.sum_loss);
}

int sigmoid(SteelyardCall& c, const steelyard::InstructionSet& set) {
  constexpr int WEIGHTS_ONLY = 4;
  const int64_t total = c.batch * c.classes * c.positions;
  if (c.target_kind != STEELYARD_DENSE) return STEELYARD_BAD_ARGUMENT;
  if (total == 0) return STEELYARD_DONE;
  if (c.stride_batch != c.classes * c.positions && c.batch > 1) return STEELYARD_BAD_ARGUMENT;
  if (c.positions > 1 && c.classes > 1 && c.stride_class != c.positions) return STEELYARD_BAD_ARGUMENT;
  ask_for_huge_pages(c);
  Work work;
  set.sigmoid_plan(c, work);
  const bool weighted = c.class_weight || c.pos_weight || c.outcome || c.sample_weight || c.has_ignore;
  double sums[4] = {0, static_cast<double>(total), static_cast<double>(total), static_cast<double>(total)};
  int status = STEELYARD_DONE;
  if (weighted && c.gradient && c.divide != STEELYARD_BY_NOTHING && c.divide != STEELYARD_BY_NUMBER) {
    Work before = work;
    before.kind |= WEIGHTS_ONLY;
    status = work_off(c, before, set.sigmoid_run, 4, sums);
    if (status != STEELYARD_DONE) return status;
  }
  const auto take = [&] {
    c.sum_loss = sums[0];
    c.sum_weight = sums[1];
    c.sum_sample_weight = sums[2];
    c.rows = static_cast<int64_t>(sums[3]);
  };
  take();
  divide(c);
  status = work_off(c, work, set.sigmoid_run, 4, sums);
  take();
  return status;
}

int one_call(SteelyardCall* call, const char* instructions, int (*family)(SteelyardCall&, const steelyard::InstructionSet&)) {
  if (call == nullptr || !sound(*call)) return STEELYARD_BAD_ARGUMENT;
  const steelyard::InstructionSet* chosen = steelyard::instruction_set(instructions);
  if (chosen == nullptr) return STEELYARD_BAD_ARGUMENT;
  call->sum_loss = call->sum_weight = call->sum_sample_weight = 0;
  call->rows = 0;
  call->bad_row = -1;
  try {
    return family(*call, *chosen);
  } catch (const std::bad_alloc&) {
    return STEELYARD_NO_MEMORY;
  }
}

}  // namespace

extern "C" int steelyard_softmax(SteelyardCall* call, const char* instructions) {
  return one_call(call, instructions, softmax);
}

extern "C" int steelyard_sigmoid(SteelyardCall* call, const char* instructions) {
  return one_call(call, instructions, sigmoid);
}
