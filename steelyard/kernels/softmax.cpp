// The softmax family for one instruction set: which of the sweeps a call takes, and how it is cut into blocks.

#include "loss_work.hpp"
#include "softmax_every.hpp"
#include "softmax_pairs.hpp"
#include "softmax_rows.hpp"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

namespace {

using steelyard::Work;

enum Kind { PAIRS, TRANSPOSED, ALONG_ROWS, STRIDED, STRIDED_WIDE, EVERY_ROW, EVERY_LANE };

// Up to so many classes rows are transposed: from there on a vector along the row is as full.
constexpr int64_t FEW = 64;
// Logits of a block: enough to pay for handing it to a thread, few enough to share out.
constexpr int64_t BLOCK = 1 << 16;

static bool plain(const SteelyardCall& c) { return !c.scale && !c.offset && !c.smoothing; }

template <class T>
static int group_rows(int64_t padded) {
  const int64_t fit = 24576 / (padded * static_cast<int64_t>(sizeof(T)));
  return static_cast<int>(fit < 1 ? 1 : fit > Wide<T>::L ? Wide<T>::L : fit);
}

template <class T>
static void plan(const SteelyardCall& c, Work& w) {
  constexpr int64_t L = Wide<T>::L;
  const int64_t C = c.classes, tiles = (C + L - 1) / L * L, padded = tiles + L;
  const bool bent = c.gamma != 0.0 || c.poly != 0.0;
  const bool pairs = C == 2 && c.positions == 1 && c.stride_batch == 2 && c.stride_class == 1 &&
                     c.target_kind != STEELYARD_DENSE && (!c.gradient || (c.gradient_batch == 2 && c.gradient_class == 1));
  const bool every = c.target_kind == STEELYARD_DENSE || (c.smoothing && bent);
  int64_t rows_of_unit = L;
  if (pairs) {
    w.kind = PAIRS;
    w.units = (c.batch + L - 1) / L;
  } else if (c.positions == 1) {
    const bool few = C <= FEW;
    w.kind = every ? (few ? EVERY_LANE : EVERY_ROW) : few ? TRANSPOSED : ALONG_ROWS;
    rows_of_unit = few ? L : w.kind == ALONG_ROWS ? group_rows<T>(padded) : 1;
    w.units = w.kind == ALONG_ROWS ? c.batch : (c.batch + rows_of_unit - 1) / rows_of_unit;
    w.scratch = few ? (every ? 4 * tiles * L : 2 * tiles * L) : every ? 2 * tiles : 2 * rows_of_unit * padded;
  } else {
    const bool wide = !every && C * 4 * L * static_cast<int64_t>(sizeof(T)) <= (1 << 17);
    w.kind = every ? EVERY_LANE : wide ? STRIDED_WIDE : STRIDED;
    rows_of_unit = wide ? 4 * L : L;
    w.units = c.batch * ((c.positions + rows_of_unit - 1) / rows_of_unit);
    w.scratch = every ? 4 * tiles * L : rows_of_unit * C;
  }
  w.scratch *= static_cast<int64_t>(sizeof(T));
  int64_t logits_of_unit = w.kind == ALONG_ROWS ? C : rows_of_unit * C;
  w.per_block = BLOCK / logits_of_unit;
  if (w.per_block < 1) w.per_block = 1;
  if (w.kind == ALONG_ROWS) w.per_block = (w.per_block + rows_of_unit - 1) / rows_of_unit * rows_of_unit;
  w.blocks = (w.units + w.per_block - 1) / w.per_block;
}

template <class T, class In, bool PLAIN, bool GRADIENT>
static double sweep(const SteelyardCall& c, const Work& w, int64_t from, int64_t to, T* scratch) {
  const Numbers<T> p(c);
  switch (w.kind) {
    case PAIRS:
      return pairs_block<T, In, PLAIN, GRADIENT>(c, p, from, to, w.past_caches);
    case TRANSPOSED:
      return transposed_block<T, In, PLAIN, GRADIENT>(c, p, from, to, scratch);
    case STRIDED:
      return strided_block<T, In, PLAIN, GRADIENT, 1>(c, p, from, to, scratch, w.past_caches);
    case STRIDED_WIDE:
      return strided_block<T, In, PLAIN, GRADIENT, 4>(c, p, from, to, scratch, w.past_caches);
    default: {
      const int64_t padded = (p.C + Wide<T>::L - 1) / Wide<T>::L * Wide<T>::L + Wide<T>::L;
      const int n = group_rows<T>(padded);
      if (GRADIENT && w.past_caches)
        return rows_block<T, In, PLAIN, GRADIENT, STREAMED_PAST>(c, p, from, to, scratch, padded, n);
      return rows_block<T, In, PLAIN, GRADIENT, STORED>(c, p, from, to, scratch, padded, n);
    }
  }
}

template <class T, class In, bool BENT>
static double every(const SteelyardCall& c, const Work& w, int64_t from, int64_t to, T* scratch) {
  const Numbers<T> p(c);
  if (w.kind == EVERY_ROW) return every_rows<T, In, BENT>(c, p, from, to, scratch, w.past_caches);
  return every_lanes<T, In, BENT>(c, p, from, to, scratch);
}

template <class In>
static double block_of(const SteelyardCall& c, const Work& w, int64_t from, int64_t to, void* memory) {
  typedef typename Arithmetic<In>::T T;
  T* const scratch = static_cast<T*>(memory);
  if (w.kind == EVERY_ROW || w.kind == EVERY_LANE) {
    if (c.gamma != 0.0 || c.poly != 0.0) return every<T, In, true>(c, w, from, to, scratch);
    return every<T, In, false>(c, w, from, to, scratch);
  }
  // one class more or less bent changes a row, not its classes: only what is done to every logit is a variant. In pairs
  // everything is done to every logit
  const bool bare = plain(c) && (w.kind != PAIRS || (!c.margin && c.gamma == 0.0 && c.poly == 0.0));
  if (c.gradient)
    return bare ? sweep<T, In, true, true>(c, w, from, to, scratch) : sweep<T, In, false, true>(c, w, from, to, scratch);
  return bare ? sweep<T, In, true, false>(c, w, from, to, scratch) : sweep<T, In, false, false>(c, w, from, to, scratch);
}

}  // namespace

namespace steelyard {

void NAMED(softmax_plan_, INSTRUCTIONS)(const SteelyardCall& c, Work& w) {
  w = Work{};
  const int64_t bytes[] = {4, 8, 2, 2};
  w.past_caches = c.gradient && c.batch * c.classes * c.positions * bytes[c.dtype] >= STREAMED;
  if (c.dtype == STEELYARD_FLOAT64)
    plan<double>(c, w);
  else
    plan<float>(c, w);
}

bool NAMED(softmax_run_, INSTRUCTIONS)(const SteelyardCall& c, const Work& w, int64_t block, double* sum) {
  constexpr int64_t SMALL = 16384;
  alignas(64) char nearby[SMALL];
  const bool small = w.scratch <= SMALL;
  const Scratch far(small ? 0 : static_cast<size_t>(w.scratch));
  if (far.at == nullptr) return false;
  void* const memory = small ? nearby : far.at;
  const int64_t from = block * w.per_block, to = from + w.per_block < w.units ? from + w.per_block : w.units;
  switch (c.dtype) {
    case STEELYARD_FLOAT32:
      *sum = block_of<float>(c, w, from, to, memory);
      return true;
    case STEELYARD_FLOAT64:
      *sum = block_of<double>(c, w, from, to, memory);
      return true;
    case STEELYARD_BFLOAT16:
      *sum = block_of<BFloat16>(c, w, from, to, memory);
      return true;
    default:
      *sum = block_of<Float16>(c, w, from, to, memory);
      return true;
  }
}

}  // namespace steelyard
