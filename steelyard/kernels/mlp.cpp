// The training of one multi-layer perceptron, first step to last, on one thread: forward, loss, backward, AdamW.
//
// Compiled once per instruction set (INSTRUCTIONS names it, VECTOR_BYTES is its vector). What it computes is
// `steelyard.training.mlp`'s program; what makes it fast is that everything of a run stays in the cache, that no step
// goes through an interpreter or an allocator, and that products of such sizes are tiles held in registers.
//
// Matrices lie row after row, rows padded to whole vectors. Columns of the padding are 0 and stay so: a weight of 0
// with a gradient of 0 is moved by nothing.

#include "mlp.hpp"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.hpp"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace {

using steelyard::Loss;
using steelyard::Rows;
using steelyard::Task;

static long whole(long n) { return (n + L - 1) / L * L; }

// Distance between rows. Where it would be a multiple of 256 bytes, a column falls into few sets of the first cache and
// pushes itself out; one line more per row spreads it.
static long distance(long n) { return whole(n) + (whole(n) % 64 == 0 ? 16 : 0); }

// Zeroed, aligned blocks that go together.
class Memory {
 public:
  float* take(long floats) {
    const size_t bytes = 64 + (static_cast<size_t>(floats) * 4 + 63) / 64 * 64;
    char* block = static_cast<char*>(aligned_alloc(64, bytes));
    if (block == nullptr) {
      missing = true;
      return nullptr;
    }
    memset(block, 0, bytes);
    memcpy(block, &last, sizeof last);
    last = block;
    return reinterpret_cast<float*>(block + 64);
  }
  ~Memory() {
    while (last != nullptr) {
      char* block = last;
      memcpy(&last, block, sizeof last);
      free(block);
    }
  }
  bool missing = false;

 private:
  char* last = nullptr;
};

// Moments of dead units decay into denormal numbers, which some processors compute a hundred times slower.
class NoDenormals {
#if defined(__SSE2__)
 public:
  NoDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | 0x8040); }
  ~NoDenormals() { _mm_setcsr(before); }

 private:
  unsigned before;
#endif
};

// --- products ------------------------------------------------------------------------------------------------------

enum Finish { PLAIN, RELU, GATE };

struct Product {
  const float* a;  // (rows, depth), or with COLUMNS its transpose (depth, rows)
  long lda;
  const float* b;  // (depth, vectors · L)
  long ldb;
  float* c;  // (rows, vectors · L)
  long ldc;
  const float* start;  // added to every row, or null
  Finish finish;       // RELU: max(c, 0); GATE: 0 where `gate` (laid out as c) is not positive
  const float* gate;
};

// One tile of c, R rows by V vectors, held in registers while `depth` goes by.
template <int R, int V, bool COLUMNS>
static void tile(const Product& x, long row, long column, long from, long to, bool first, bool last) {
  F acc[R][V];
  float* c = x.c + row * x.ldc + column;
  if (first) {
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      const F begin = x.start == nullptr ? F{} : load(x.start + column + v * L);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) acc[r][v] = begin;
    }
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) acc[r][v] = load(c + r * x.ldc + v * L);
  }
  const long along = COLUMNS ? x.lda : 1, across = COLUMNS ? 1 : x.lda;
  const float* a = x.a + row * across + from * along;
  const float* b = x.b + from * x.ldb + column;
  for (long p = from; p < to; ++p, a += along, b += x.ldb) {
    F line[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) line[v] = load(b + v * L);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float factor = a[r * across];
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) acc[r][v] += factor * line[v];
    }
  }
  const Finish finish = last ? x.finish : PLAIN;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      F out = acc[r][v];
      if (finish == RELU) out = positive(out);
      if (finish == GATE) out = either(load(x.gate + (row + r) * x.ldc + column + v * L) > 0.0f, out, F{});
      store(c + r * x.ldc + v * L, out);
    }
}

template <int R, int V, bool COLUMNS>
static INLINE void rest(long rows, const Product& x, long row, long column, long from, long to, bool first, bool last) {
  if (rows == R) return tile<R, V, COLUMNS>(x, row, column, from, to, first, last);
  if constexpr (R > 1) rest<R - 1, V, COLUMNS>(rows, x, row, column, from, to, first, last);
}

template <int R, int V, bool COLUMNS>
static void panel(const Product& x, long rows, long column, long from, long to, bool first, bool last) {
  long row = 0;
  for (; row + R <= rows; row += R) tile<R, V, COLUMNS>(x, row, column, from, to, first, last);
  if constexpr (R > 1) {
    if (row < rows) rest<R - 1, V, COLUMNS>(rows - row, x, row, column, from, to, first, last);
  }
}

// c = a b + start. A panel of b of 4 vectors and 128 rows is 32 kB: it stays in the first cache for all rows of a.
template <bool COLUMNS>
static void product(const Product& x, long rows, long vectors, long depth) {
  constexpr long block = 128;
  for (long v = 0; v < vectors;) {
    const long left = vectors - v;
    long taken = 1;
    for (long from = 0; from < depth; from += block) {
      const long to = depth - from <= block ? depth : from + block;
      const bool first = from == 0, last = to == depth;
#if VECTOR_BYTES == 64
      // 32 registers: 24 sums, a line of b, a factor
      if (left >= 4) panel<6, 4, COLUMNS>(x, rows, v * L, from, to, first, last), taken = 4;
      else if (left == 3) panel<8, 3, COLUMNS>(x, rows, v * L, from, to, first, last), taken = 3;
      else if (left == 2) panel<12, 2, COLUMNS>(x, rows, v * L, from, to, first, last), taken = 2;
      else panel<14, 1, COLUMNS>(x, rows, v * L, from, to, first, last);
#else
      // 16 registers
      if (left >= 2) panel<6, 2, COLUMNS>(x, rows, v * L, from, to, first, last), taken = 2;
      else panel<8, 1, COLUMNS>(x, rows, v * L, from, to, first, last);
#endif
    }
    v += taken;
  }
}

// --- one layer -----------------------------------------------------------------------------------------------------

struct Layer {
  long in, out;
  long ld, back;  // distances of rows of W and of its transpose
  float* W;       // (in + 1, out): the last row is the bias
  float* turned;  // (out, in): its transpose; not for the first layer
  float *gradient, *mean, *square;  // as W
  float* kept;                      // as W: the best so far, with early stopping
  float *h, *d;                     // (batch, out): what it gives, and the gradient of that
  long width;                       // distance of rows of h and d
};

static void turn(const Layer& l) {
  for (long p = 0; p < l.in; p += L)
    for (long j = 0; j < l.out; j += L) {
      F r[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) r[i] = load(l.W + (p + i) * l.ld + j);
      transpose(r);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) store(l.turned + (j + i) * l.back + p, r[i]);
    }
}

static void column_sums(const float* x, long ld, long rows, long columns, float* out) {
  for (long j = 0; j < columns; j += L) {
    F even{}, odd{};
    long i = 0;
    for (; i + 2 <= rows; i += 2) {
      even += load(x + i * ld + j);
      odd += load(x + (i + 1) * ld + j);
    }
    if (i < rows) even += load(x + i * ld + j);
    store(out + j, even + odd);
  }
}

// θ ← θ − rate (m̂ / (√v̂ + 1e-8) + decay θ), the moments corrected for having started at 0.
static void adamw(const Layer& l, double rate, double decay, double unseen_mean, double unseen_square) {
  const double root = sqrt(unseen_square);
  const float step = static_cast<float>(rate * root / unseen_mean), floor = static_cast<float>(1e-8 * root);
  const float keep = static_cast<float>(1.0 - rate * decay);
  for (long i = 0; i <= l.in; ++i) {
    float* __restrict w = l.W + i * l.ld;
    float* __restrict m = l.mean + i * l.ld;
    float* __restrict s = l.square + i * l.ld;
    const float* __restrict g = l.gradient + i * l.ld;
    const long n = whole(l.out);
    for (long j = 0; j < n; ++j) {
      m[j] = 0.9f * m[j] + 0.1f * g[j];
      s[j] = 0.999f * s[j] + 0.001f * g[j] * g[j];
      w[j] = keep * w[j] - step * m[j] / (__builtin_sqrtf(s[j]) + floor);
    }
  }
}

// --- the loss ------------------------------------------------------------------------------------------------------

// The generalised softmax cross-entropy of L rows, one row per lane. See `losses/_softmax.py` for the formulas, and for
// why one class is left out of the sum of exponentials.
class Lanes {
 public:
  Lanes(Memory& memory, long classes)
      : C(classes), z(memory.take(C * L)), a(memory.take(C * L)), g(memory.take(C * L)), extra(memory.take(C * L)) {}

  const long C;
  float *z, *a, *g;  // (classes, L): logits; the adjusted ones, later exponentials or n; the gradient by z
  F value{}, weight{};  // ω ℓ and ω, where `values` asks for them

  // y: L classes; s: L weights, 0 for a lane that holds no row.
  void run(const Loss& loss, const int* y, const float* s, bool values) {
    I truth;
    F omega, margin, used;
    for (int i = 0; i < L; ++i) {
      truth[i] = y[i];
      omega[i] = loss.class_weight[y[i]];
      margin[i] = loss.margin[y[i]];
      used[i] = s[i];
    }
    for (long c = 0; c < C; ++c) store(a + c * L, load(z + c * L) * loss.scale[c] + loss.offset[c]);
    if (loss.pairwise != nullptr)
      for (long c = 0; c < C; ++c)
        for (int i = 0; i < L; ++i) a[c * L + i] += loss.pairwise[y[i] * C + c];
    if (loss.smoothing == 0 && loss.cost == nullptr) {
      of_index(loss, truth, omega, margin, used, values);
    } else {
      dense(loss, y, truth, omega, margin, used, values);
    }
    for (long c = 0; c < C; ++c) store(g + c * L, load(g + c * L) * loss.scale[c]);
    if (values) {
      value *= used;
      weight = omega * used;
    }
  }

 private:
  float* extra;

  static INLINE I is(I index, long c) { return index == static_cast<int>(c); }

  struct Gap {
    F gap, u, q, tail;  // log Σ others − own, 1 − q, q, log1p(exp(−|gap|))
    F total;            // Σ exp(others − the largest of them), whose terms are left in `e`
  };

  // Everything that follows from leaving class `out` out of the sum; e (classes, L) receives the exponentials.
  Gap gap_of(I out, F margin, float* e) {
    F most = all(-INFINITY), own{}, total{};
    for (long c = 0; c < C; ++c) {
      const F x = load(a + c * L);
      own = either(is(out, c), x, own);
      most = larger(most, either(is(out, c), all(-INFINITY), x));
    }
    for (long c = 0; c < C; ++c) {
      const F x = either(is(out, c), F{}, exp(load(a + c * L) - most));
      store(e + c * L, x);
      total += x;
    }
    Gap k;
    k.total = total;
    k.gap = (log(total) + most) - own + margin;
    const F small = exp(either(k.gap > 0.0f, -k.gap, k.gap));  // exp(−|gap|)
    const F big = 1.0f / (1.0f + small);
    k.u = either(k.gap > 0.0f, big, small * big);
    k.q = either(k.gap > 0.0f, small * big, big);
    k.tail = log1p(small);
    return k;
  }

  // g_j = ω S exp(a_j) / Σ_{c≠y} exp(a_c), g_y = −ω S, with S = u^γ (u + γ q n)
  void of_index(const Loss& loss, I truth, F omega, F margin, F used, bool values) {
    const Gap k = gap_of(truth, margin, g);
    F size = k.u, factor = all(1.0f);
    if (loss.gamma != 0 || values) {
      const F n = positive(k.gap) + k.tail;
      if (loss.gamma != 0) {
        const F log_u = -(positive(-k.gap) + k.tail);
        factor = exp(loss.gamma * log_u);
        size = factor * (k.u + loss.gamma * k.q * n);
      }
      value = omega * factor * n;
    }
    size *= omega * used * loss.share;
    const F others = size / k.total;
    for (long c = 0; c < C; ++c) store(g + c * L, either(is(truth, c), -size, others * load(g + c * L)));
  }

  // g_j = q_j (Σ_c b_c ψ_c − b_j ψ_j) − (1 − q_j) b_j ψ_j + q_j (M_j − Σ_c M_c q_c), the largest class left out
  void dense(const Loss& loss, const int* y, I truth, F omega, F margin, F used, bool values) {
    F most = all(-INFINITY);
    I top{};
    for (long c = 0; c < C; ++c) {
      F x = load(a + c * L);
      x = either(is(truth, c), x - margin, x);
      store(a + c * L, x);
      top = x > most ? I{} + static_cast<int>(c) : top;
      most = larger(most, x);
    }
    const Gap k = gap_of(top, F{}, g);
    const F n_top = positive(k.gap) + k.tail, log_u_top = -(positive(-k.gap) + k.tail);
    const F spread = omega * (loss.smoothing / static_cast<float>(C)), hit = omega * (1.0f - loss.smoothing) + spread;
    F slopes{}, costs{}, loss_value{};
    for (long c = 0; c < C; ++c) {
      const F n = either(is(top, c), n_top, most - load(a + c * L) + n_top);
      const F q = either(is(top, c), k.q, exp(-n));
      const F b = either(is(truth, c), hit, spread);
      F slope = b, phi = n;
      if (loss.gamma != 0) {
        const F u = either(is(top, c), k.u, 1.0f - q);
        const F power = exp(loss.gamma * either(is(top, c), log_u_top, log(larger(u, all(0.25f)))));
        slope = b * power * (1.0f + loss.gamma * (n * q / u));
        phi = power * n;
      }
      store(g + c * L, q);
      store(a + c * L, slope);
      slopes += slope;
      loss_value += b * phi;
      if (loss.cost != nullptr)
        for (int i = 0; i < L; ++i) {
          extra[c * L + i] = loss.cost[y[i] * C + c];
          costs[i] += extra[c * L + i] * q[i];
        }
    }
    const F share = used * loss.share;
    for (long c = 0; c < C; ++c) {
      const F q = load(g + c * L), slope = load(a + c * L);
      const F u = either(is(top, c), k.u, 1.0f - q);
      F out = q * (slopes - slope) - u * slope;
      if (loss.cost != nullptr) out += q * (load(extra + c * L) - costs);
      store(g + c * L, share * out);
    }
    if (values) value = loss_value + costs;
  }
};

// --- one network ---------------------------------------------------------------------------------------------------

constexpr float COSINE_FLOOR = 1e-6f;  // of a norm, as in training/mlp_jax.py

class Network {
 public:
  explicit Network(Task& task)
      : task(task), n_layers(task.layers), classes(task.sizes[n_layers]), lanes(memory, classes) {
    const long rows = whole(task.batch);
    features = task.sizes[0];
    x = memory.take(rows * features + L);
    y = reinterpret_cast<int*>(memory.take(rows));
    s = memory.take(rows);
    row_norm = memory.take(rows);
    column_norm = memory.take(whole(classes));
    column_slope = memory.take(whole(classes) * L);
    layers = static_cast<Layer*>(calloc(static_cast<size_t>(n_layers), sizeof(Layer)));
    if (layers == nullptr) {
      memory.missing = true;
      return;
    }
    for (long i = 0; i < n_layers; ++i) {
      Layer& l = layers[i];
      l.in = task.sizes[i];
      l.out = task.sizes[i + 1];
      l.ld = distance(l.out);
      l.back = distance(l.in);
      l.width = distance(l.out);
      const long size = whole(l.in + 1) * l.ld;
      for (float** part : {&l.W, &l.gradient, &l.mean, &l.square}) *part = memory.take(size);
      if (task.held.n > 0) l.kept = memory.take(size);
      if (i > 0) l.turned = memory.take(whole(l.out) * l.back);
      l.h = memory.take(rows * l.width);
      l.d = memory.take(rows * l.width);
    }
  }
  ~Network() { free(layers); }
  Network(const Network&) = delete;

  bool train() {
    if (memory.missing) return false;
    const NoDenormals here;
    exchange(task.parameters, &Layer::W, false);
    if (task.gradient != nullptr) {
      gradient(0, task.loss[0]);
      exchange(task.gradient, &Layer::gradient, true);
      return true;
    }
    if (task.held.n == 0) {
      for (long t = 0; t < task.steps; ++t) {
        if (given_up()) return false;
        const double share = static_cast<double>(t) / static_cast<double>(task.steps);
        step(t, task.changes && t >= task.defer, task.rate * 0.5 * (1.0 + cos(M_PI * share)));
      }
      task.ended = true;
    } else if (!until_it_ends()) {
      return false;
    }
    exchange(task.parameters, &Layer::W, true);
    return true;
  }

 private:
  Task& task;
  Memory memory;
  const long n_layers, classes;
  long features = 0;
  Lanes lanes;
  Layer* layers = nullptr;
  float *x = nullptr, *s = nullptr, *row_norm = nullptr, *column_norm = nullptr, *column_slope = nullptr;
  int* y = nullptr;
  double mean_power = 1, square_power = 1;  // of the decay rates of the moments

  bool given_up() const { return __atomic_load_n(task.stop, __ATOMIC_RELAXED) != 0; }

  // Copy between the caller's order, which has no padding, and ours.
  void exchange(float* flat, float* Layer::*part, bool out) {
    for (long i = 0; i < n_layers; ++i) {
      const Layer& l = layers[i];
      for (long p = 0; p <= l.in; ++p, flat += l.out) {
        float* ours = l.*part + p * l.ld;
        memcpy(out ? flat : ours, out ? ours : flat, static_cast<size_t>(l.out) * 4);
      }
    }
  }

  void copy(float* Layer::*to, float* Layer::*from) {
    for (long i = 0; i < n_layers; ++i) {
      const Layer& l = layers[i];
      memcpy(l.*to, l.*from, static_cast<size_t>(whole(l.in + 1) * l.ld) * 4);
    }
  }

  // Early stopping, as in training/mlp_jax.py: a constant rate, the best weights of each loss kept, a patience for each.
  bool until_it_ends() {
    float best = INFINITY;
    long waited = 0, epoch = 0;
    bool late = false, ended = false;
    for (const long most = task.steps / task.every; epoch < most && !ended;) {
      for (long t = epoch * task.every; t < (epoch + 1) * task.every; ++t) {
        if (given_up()) return false;
        step(t, late, task.rate);
      }
      ++epoch;
      const float value = held_out_loss(task.loss[late]);
      if (value < best) {
        best = value;
        waited = 0;
        copy(&Layer::kept, &Layer::W);
      } else {
        ++waited;
      }
      ended = waited >= task.patience;
      if (task.changes && !late && (ended || epoch >= task.defer) && __builtin_isfinite(best)) {
        copy(&Layer::W, &Layer::kept);
        best = INFINITY;
        waited = 0;
        late = true;
        ended = false;
      }
    }
    // a run that never had a finite value is handed back as it is, for its caller to report
    if (__builtin_isfinite(best)) copy(&Layer::W, &Layer::kept);
    task.epochs = epoch;
    task.ended = ended;
    return true;
  }

  void step(long t, bool late, double rate) {
    gradient(t, task.loss[late]);
    mean_power *= 0.9;
    square_power *= 0.999;
    for (long i = 0; i < n_layers; ++i) adamw(layers[i], rate, task.decay, 1 - mean_power, 1 - square_power);
  }

  void gather(const Rows& from, const int* rows, long first, long n) {
    for (long i = 0; i < n; ++i) {
      const long row = rows == nullptr ? first + i : rows[i];
      memcpy(x + i * features, from.X + row * features, static_cast<size_t>(features) * 4);
      y[i] = from.y[row];
      s[i] = from.weight == nullptr ? 1.0f : from.weight[row];
    }
    for (long i = n; i < whole(n); ++i) {
      y[i] = 0;
      s[i] = 0;
    }
  }

  void forward(long n) {
    const float* input = x;
    long ld = features;
    for (long i = 0; i < n_layers; ++i) {
      Layer& l = layers[i];
      const bool last = i == n_layers - 1;
      const float* bias = last && task.cosine ? nullptr : l.W + l.in * l.ld;
      product<false>({input, ld, l.W, l.ld, l.h, l.width, bias, last ? PLAIN : RELU, nullptr}, n, whole(l.out) / L, l.in);
      input = l.h;
      ld = l.width;
    }
    if (task.cosine) norms(n, input_of_last());
  }

  struct Input {
    const float* at;
    long ld;
  };
  Input input_of_last() const {
    if (n_layers == 1) return {x, features};
    return {layers[n_layers - 2].h, layers[n_layers - 2].width};
  }

  // One over the lengths of the feature vectors and of the class vectors.
  void norms(long n, Input h) {
    const Layer& l = layers[n_layers - 1];
    for (long i = 0; i < n; ++i) {
      float total = COSINE_FLOOR * COSINE_FLOOR;
      for (long p = 0; p < l.in; ++p) total += h.at[i * h.ld + p] * h.at[i * h.ld + p];
      row_norm[i] = 1 / sqrtf(total);
    }
    for (long c = 0; c < classes; ++c) {
      float total = COSINE_FLOOR * COSINE_FLOOR;
      for (long p = 0; p < l.in; ++p) total += l.W[p * l.ld + c] * l.W[p * l.ld + c];
      column_norm[c] = 1 / sqrtf(total);
    }
  }

  // Loss of the rows whose logits are in the last layer: their gradient to its d, or Σ s·ω·ℓ and Σ s·ω to `sums`.
  void loss_of(const Loss& loss, long n, double* sums) {
    Layer& l = layers[n_layers - 1];
    if (task.cosine) memset(column_slope, 0, static_cast<size_t>(classes * L) * 4);
    for (long row = 0; row < n; row += L) {
      swap_axes(l.h + row * l.width, l.width, lanes.z, true);
      const F by_row = load(row_norm + row);
      if (task.cosine)
        for (long c = 0; c < classes; ++c) store(lanes.z + c * L, load(lanes.z + c * L) * by_row * column_norm[c]);
      lanes.run(loss, y + row, s + row, sums != nullptr);
      if (sums != nullptr) {
        sums[0] += sum(lanes.value);
        sums[1] += sum(lanes.weight);
        continue;
      }
      if (task.cosine) {
        F turn{};
        for (long c = 0; c < classes; ++c) {
          const F g = load(lanes.g + c * L), both = g * load(lanes.z + c * L);
          turn += both;
          store(column_slope + c * L, load(column_slope + c * L) + both);
          store(lanes.g + c * L, g * by_row * column_norm[c]);
        }
        // what the length of h takes off its gradient, times h; the inverse length is not needed after this
        store(row_norm + row, turn * by_row * by_row);
      }
      swap_axes(l.d + row * l.width, l.width, lanes.g, false);
    }
  }

  // Between L rows of a matrix and a block (classes, L) with a row per lane.
  void swap_axes(float* rows, long ld, float* block, bool in) const {
    for (long c = 0; c < classes; c += L) {
      F r[L];
      const long n = classes - c < L ? classes - c : L;
      if (in) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) r[i] = load(rows + i * ld + c);
        transpose(r);
        for (int i = 0; i < n; ++i) store(block + (c + i) * L, r[i]);
      } else {
        for (int i = 0; i < L; ++i) r[i] = i < n ? load(block + (c + i) * L) : F{};
        transpose(r);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) store(rows + i * ld + c, r[i]);
      }
    }
  }

  float held_out_loss(const Loss& loss) {
    double sums[2] = {0, 0};
    for (long row = 0; row < task.held.n; row += task.batch) {
      const long n = task.held.n - row < task.batch ? task.held.n - row : task.batch;
      gather(task.held, nullptr, row, n);
      forward(n);
      loss_of(loss, n, sums);
    }
    return static_cast<float>(sums[0] / sums[1]);
  }

  void gradient(long t, const Loss& loss) {
    const long n = task.batch;
    gather(task.train, task.stream + t * n, 0, n);
    if (t + 1 < task.steps) {
      const int* next = task.stream + (t + 1) * n;
      for (long i = 0; i < n; ++i)
        for (long p = 0; p < features; p += 16) __builtin_prefetch(task.train.X + next[i] * features + p, 0, 2);
    }
    forward(n);
    loss_of(loss, n, nullptr);
    for (long i = n_layers - 1; i >= 0; --i) {
      Layer& l = layers[i];
      const bool cosine = task.cosine && i == n_layers - 1;
      const Input input = i == 0 ? Input{x, features} : Input{layers[i - 1].h, layers[i - 1].width};
      product<true>({input.at, input.ld, l.d, l.width, l.gradient, l.ld, nullptr, PLAIN, nullptr}, l.in,
                    whole(l.out) / L, n);
      if (cosine) {
        for (long c = 0; c < classes; ++c) {
          const float off = sum(load(column_slope + c * L)) * column_norm[c] * column_norm[c];
          for (long p = 0; p < l.in; ++p) l.gradient[p * l.ld + c] -= off * l.W[p * l.ld + c];
        }
      } else {
        column_sums(l.d, l.width, n, l.out, l.gradient + l.in * l.ld);
      }
      if (i == 0) continue;
      Layer& below = layers[i - 1];
      turn(l);
      product<false>({l.d, l.width, l.turned, l.back, below.d, below.width, nullptr, GATE, below.h}, n,
                     whole(l.in) / L, l.out);
      if (!cosine) continue;
      for (long r = 0; r < n; ++r) {
        float* __restrict d = below.d + r * below.width;
        const float* __restrict h = below.h + r * below.width;
        for (long p = 0; p < l.in; ++p) d[p] -= row_norm[r] * h[p];
      }
    }
  }
};

}  // namespace

#define JOINED(a, b) a##b
#define NAMED(instructions) JOINED(train_, instructions)

namespace steelyard {

bool NAMED(INSTRUCTIONS)(Task& task) {
  Network network(task);
  return network.train();
}

}  // namespace steelyard
