// The fused cross-entropies as a plain C interface: what Python, torch and XLA hand over, whatever binds them.
//
// One call goes over the logits once: loss, its gradient, both sums of the exact-mean contract. The formulas, with the
// same names, are those of `steelyard/losses/_softmax.py` and `_sigmoid.py`; nothing here knows a framework.
//
// Softmax family, integer targets or weights over classes t:
//     a_c = Δ_c z_c + ι_c − m_y [c = y]        q = softmax(a)        ℓ = ω Σ_c b_c (1 − q_c)^γ (−log q_c + ε₁ (1 − q_c))
// Sigmoid family, every element a label by itself; its positive weight, γ₊, γ₋ and outcome weights stand at the end.
//
// Every array is dense unless a stride says otherwise and needs the alignment of its own elements only. Tables and row
// arrays are float where the logits have 16 or 32 bits and double where they have 64 ("number" below). Null means: the
// parameter is absent, and costs nothing. Input is never written to, except where `gradient` is `logits` itself.

#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum SteelyardDtype { STEELYARD_FLOAT32 = 0, STEELYARD_FLOAT64 = 1, STEELYARD_BFLOAT16 = 2, STEELYARD_FLOAT16 = 3 };

enum SteelyardTarget {
  STEELYARD_INT64 = 0,  // a class per row
  STEELYARD_INT32 = 1,
  STEELYARD_DENSE = 2,  // weights over classes, of the dtype of the logits and laid out as they are
};

// What a gradient is divided by. The loss itself is never divided: the caller has both sums.
enum SteelyardDivide {
  STEELYARD_BY_NOTHING = 0,        // reductions "none" and "sum"
  STEELYARD_BY_WEIGHT = 1,         // Σ s·ω, found before the sweep
  STEELYARD_BY_ROWS = 2,           // the number of rows that count
  STEELYARD_BY_SAMPLE_WEIGHT = 3,  // Σ s over them
  STEELYARD_BY_NUMBER = 4,         // `denominator`
};

enum SteelyardStatus {
  STEELYARD_DONE = 0,
  STEELYARD_BAD_ARGUMENT = 1,   // sizes, strides or dtypes that do not fit together
  STEELYARD_NO_MEMORY = 2,
  STEELYARD_BAD_TARGET = 3,     // a target that is no class, or a dense one below 0: row in `bad_row`
  STEELYARD_BAD_WEIGHT = 4,     // a negative sample weight: row in `bad_row`
};

typedef struct SteelyardCall {
  int32_t size;               // sizeof(SteelyardCall): a caller of another version is refused
  int32_t dtype;              // SteelyardDtype of logits, gradient and dense targets
  int64_t batch, classes, positions;                    // logits (batch, classes, positions); positions = 1 for (n, c)
  int64_t stride_batch, stride_class, stride_position;  // of logits and dense targets, in elements; one of the last two is 1
  const void* logits;
  void* gradient;             // written whole, zeros where ignored; null: values only; may be `logits` (in place)
  int64_t gradient_batch, gradient_class, gradient_position;  // its strides, in elements
  const void* target;         // (batch, positions) of integers, or dense
  int32_t target_kind;        // SteelyardTarget
  int32_t has_ignore;         // whether `ignore_index` is meant
  int64_t ignore_index;       // integer target of rows that do not count: they may hold NaN; gradient 0, loss 0
  const void* sample_weight;  // number (batch, positions), s
  const void* upstream;       // number (batch, positions): multiplies the gradient of each row (a cotangent); null: 1

  const void* class_weight;   // number (classes), w ≥ 0; of a row the weight is w_y, or Σ t_c w_c
  const void* scale;          // number (classes), Δ
  const void* offset;         // number (classes), ι
  const void* margin;         // number (classes), m
  const void* smoothing;      // number (classes), ε of each true class, in [0, 1)
  int32_t one_smoothing;      // `smoothing` holds one number for all: with dense targets it is not averaged over t
  double gamma;               // γ ≥ 0
  double poly;                // ε₁ > −1

  int32_t divide;             // SteelyardDivide
  int32_t threads;            // at most so many; 0 or 1: the caller's alone. Results are the same bits for any number
  double denominator;         // with STEELYARD_BY_NUMBER
  double factor;              // multiplies the gradient (a scalar cotangent); 1 leaves it

  void* loss;                 // number (batch, positions): s·ω·ℓ of each row; null: not wanted
  void* curvature;            // sigmoid family: number, shaped as the gradient: positive bound of the second derivative
  double sum_loss;            // out: Σ s·ω·ℓ
  double sum_weight;          // out: Σ s·ω
  double sum_sample_weight;   // out: Σ s over the rows that count
  int64_t rows;               // out: how many count
  int64_t bad_row;            // out: the first row with a bad target or weight

  // sigmoid family only; there `smoothing`, `margin`, `scale`, `offset`, `gamma` and `poly` are absent
  const void* pos_weight;     // number (classes), v
  double gamma_pos, gamma_neg;
  const double* outcome;      // (2, 2)[truth, decision]: O; null: 1
} SteelyardCall;

// Both: `instructions` as `steelyard_instruction_sets` names them, null for the best of this processor.
// A SteelyardStatus; never throws, never allocates what it keeps.
int steelyard_softmax(SteelyardCall* call, const char* instructions);
int steelyard_sigmoid(SteelyardCall* call, const char* instructions);

#ifdef __cplusplus
}
#endif
